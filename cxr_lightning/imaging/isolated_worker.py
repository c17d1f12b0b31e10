"""Decodes image files for :mod:`cxr_lightning.imaging.isolated`, in a process with limited memory and time.

An answer is a line of JSON and, for an image, its pixels.
"""

import json
from typing import Any

from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.decoder import decode_here


def handle_image(content: bytes) -> bytes:
    """Decode an image file.

    Args:
        content: The file's bytes.

    Returns:
        The fields of the image, with the pixels' shape, and the pixels; or the reason, the remedy, the code and the
        permanence of its rejection.
    """
    return _answer(content, force=False)


def handle_image_forced(content: bytes) -> bytes:
    """Do as :func:`handle_image`, also for DICOM files that are no chest radiographs by their header."""
    return _answer(content, force=True)


def _answer(content: bytes, force: bool) -> bytes:
    try:
        image = decode_here(content, "", force=force)
    except ImageRejectedError as error:
        names = ("reason", "remedy", "code", "permanent")
        return _line({name: getattr(error, name) for name in names})
    header = {
        "shape": image.pixels.shape,
        "color_fraction": image.color_fraction,
        "view_position": image.view_position,
        "flags": image.flags,
    }
    return _line(header) + image.pixels.tobytes()


def _line(header: dict[str, Any]) -> bytes:
    return json.dumps(header).encode() + b"\n"
