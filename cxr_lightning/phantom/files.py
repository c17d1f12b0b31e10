"""Image files of the set: written atomically, and each names the set and row that it belongs to."""

import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from pydantic import TypeAdapter

from cxr_lightning.imaging.plain_files import is_plain, png_texts
from cxr_lightning.phantom.boxes import PhantomBox
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.regular_files import read_limited

_IDENTITY_KEY, _BOXES_KEY = "Phantom", "Boxes"
_BOXES = TypeAdapter(list[tuple[str, float, float, float, float]])
_PNG_END = b"IEND\xaeB`\x82"
_GRAY_HEADER = b"\x08\x00"
"""Bit depth and color type of an 8-bit gray PNG, behind its width and height."""
_MAX_BYTES = 1 << 26
"""Maximum size of an image file of the set, whose pixels take a byte each at most."""


def write_phantom_image(path: Path, pixels: NDArray[np.uint8], boxes: Sequence[PhantomBox], identity: str) -> None:
    """Write an 8-bit gray PNG with its boxes and a note that it is synthetic.

    An interrupted build reads the boxes from the file instead of drawing the image again.

    Args:
        path: Path of the PNG.
        pixels: Gray levels, ``(S, S)``.
        boxes: Boxes of the planted findings.
        identity: Name of the set and row, which is compared before the file is used again.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", "Synthetic chest radiograph made by cxr_lightning; no patient is shown.")
    text.add_text(_IDENTITY_KEY, identity)
    text.add_text(_BOXES_KEY, json.dumps([astuple(box) for box in boxes]))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE, pnginfo=text)
    # Waiting for the disk takes up to a tenth of an image's time on a fast disk, and more than all of it on a slow one.
    with atomic_write_bytes(path, sync=False) as file:
        file.write(buffer.getvalue())


def read_planted_boxes(path: Path, identity: str) -> tuple[PhantomBox, ...] | None:
    """Read the boxes from an image file; None if it is missing, truncated, or of another set or row.

    Args:
        path: Path of the PNG.
        identity: Name of the set and row, as for `write_phantom_image`.
    """
    try:
        content = read_limited(path, _MAX_BYTES)
        if content[24:26] != _GRAY_HEADER or not content.endswith(_PNG_END) or not is_plain(content):
            return None
        texts = png_texts(content)
        if texts.get(_IDENTITY_KEY) != identity:
            return None
        return tuple(PhantomBox(*values) for values in _BOXES.validate_python(parse_json(texts[_BOXES_KEY])))
    except (OSError, ValueError, KeyError, TypeError):
        return None
