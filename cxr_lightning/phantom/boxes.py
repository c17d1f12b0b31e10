"""Bounding boxes of planted findings, in the frame of NIH's box list."""

from dataclasses import dataclass

import numpy as np

from cxr_lightning.phantom.canvas import Canvas, FloatImage

BOX_FRAME_SIZE = 1024
"""Height and width, in pixels, of the images that NIH's boxes refer to."""


@dataclass(frozen=True)
class PhantomBox:
    """Bounding box of one planted finding: left, top, width and height in pixels of the 1024 x 1024 frame."""

    label: str
    x: float
    y: float
    width: float
    height: float


def mask_to_boxes(canvas: Canvas, label: str, mask: FloatImage, level: float = 0.35) -> list[PhantomBox]:
    """List the box around all pixels above ``level`` times the mask's maximum; empty if the mask is.

    Args:
        canvas: Canvas on which the mask was drawn.
        label: Name of the finding.
        mask: Strength of the finding, ``(S, S)``, at most about 1.
        level: Fraction of the maximum above which a pixel belongs to the finding.
    """
    top = float(mask.max())
    if top < 0.05:
        return []
    inside = mask > level * top
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    scale = BOX_FRAME_SIZE / canvas.size
    left, upper = float(columns[0]), float(rows[0])
    right, lower = float(columns[-1] + 1), float(rows[-1] + 1)
    return [PhantomBox(label, left * scale, upper * scale, (right - left) * scale, (lower - upper) * scale)]
