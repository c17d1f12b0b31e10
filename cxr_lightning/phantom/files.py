"""Pictures on disk: written whole or not at all, and each says which set and row it belongs to."""

import io
import json
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from cxr_lightning.phantom.boxes import Box

_OWNER, _BOXES = "Phantom", "Boxes"
_PNG_END = b"IEND\xaeB`\x82"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that other processes see either whole or not at all.

    Args:
        path: The file; its folder exists.
        content: All bytes.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_picture(path: Path, pixels: NDArray[np.uint8], boxes: Sequence[Box], owner: str) -> None:
    """An 8-bit grey PNG that carries its boxes and the word synthetic, so that an interrupted build need not redraw it.

    Args:
        path: The PNG's path.
        pixels: Grey, ``(S, S)``.
        boxes: Places of the planted findings.
        owner: Name of the set and row, compared before the picture is used again.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", "Synthetic chest radiograph made by cxr_lightning; no patient is shown.")
    text.add_text(_OWNER, owner)
    text.add_text(_BOXES, json.dumps([astuple(box) for box in boxes]))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE, pnginfo=text)
    write_atomically(path, buffer.getvalue())


def read_boxes(path: Path, owner: str) -> tuple[Box, ...] | None:
    """The boxes of a whole picture of this set and row; None if it is missing, cut short or another's.

    Args:
        path: The PNG's path.
        owner: As given to `write_picture`.
    """
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), os.SEEK_END)
            if file.read() != _PNG_END:
                return None
        with Image.open(path) as image:
            if image.format != "PNG" or image.mode != "L" or image.info.get(_OWNER) != owner:
                return None
            return tuple(Box(*values) for values in json.loads(image.info[_BOXES]))
    except (OSError, ValueError, KeyError, TypeError, SyntaxError):
        return None
