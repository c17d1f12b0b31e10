"""Where a planted finding lies, in the frame of NIH's box list."""

from dataclasses import dataclass

import numpy as np

from cxr_lightning.phantom.canvas import Canvas, Field

FRAME = 1024
"""Height and width, in pixels, of the images that NIH's boxes refer to."""


@dataclass(frozen=True)
class Box:
    """A finding's place: left, top, width and height in pixels of the 1024 x 1024 frame."""

    label: str
    x: float
    y: float
    width: float
    height: float


def box_of_mask(canvas: Canvas, label: str, mask: Field, level: float = 0.35) -> list[Box]:
    """The box around all pixels above ``level`` times the mask's maximum, or none if the mask is empty.

    Args:
        canvas: Where the mask was drawn.
        label: The finding.
        mask: Strength of the finding, ``(S, S)``, at most about 1.
        level: Share of the maximum from which a pixel belongs to the finding.
    """
    top = float(mask.max())
    if top < 0.05:
        return []
    inside = mask > level * top
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    scale = FRAME / canvas.size
    left, upper = float(columns[0]), float(rows[0])
    right, lower = float(columns[-1] + 1), float(rows[-1] + 1)
    return [Box(label, left * scale, upper * scale, (right - left) * scale, (lower - upper) * scale)]
