"""How well a heat map finds annotated boxes: the pointing game, and overlap with the hot region.

A map is not negative, a box is ``(x, y, width, height)`` in fractions of the image's sides. A pixel, or a cell of a
map, belongs to a box if its centre does.

References:
    Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016 (pointing game); Wang et al.,
    "ChestX-ray8", CVPR 2017 (IoU and IoBB; there the region is a rectangle around the hot pixels, here these pixels).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Box = tuple[float, float, float, float]

HOT = 0.5
"""Share of a map's maximum from which a pixel belongs to the hot region."""

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
IOBB_THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)


def box_mask(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels in any of the boxes, ``(H, W)``; what lies beyond the image is cut off.

    Example:
        >>> box_mask([(0.5, 0.0, 0.5, 0.5)], 2, 4).astype(int).tolist()
        [[0, 0, 1, 1], [0, 0, 0, 0]]
    """
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    mask = np.zeros((height, width), dtype=bool)
    for left, top, box_width, box_height in boxes:
        inside_x, inside_y = (x >= left) & (x < left + box_width), (y >= top) & (y < top + box_height)
        mask |= inside_y[:, None] & inside_x[None, :]
    return mask


def hits(heatmap: Map, boxes: Sequence[Box]) -> bool:
    """Whether the highest point is in a box; of several equally high points at least half must be.

    Give the map as it is before upsampling: the centre of its hottest cell is the highest point of any bilinear
    upsampling, which towards the border repeats it. A map without positive evidence misses.

    Args:
        heatmap: ``(h, w)``.
        boxes: Of one image.
    """
    if not (heatmap > 0).any():
        return False
    highest = heatmap == heatmap.max()
    return bool(box_mask(boxes, *heatmap.shape)[highest].mean() >= 0.5)


def overlap(heatmap: Map, boxes: Sequence[Box], size: int) -> tuple[float, float]:
    """Intersection over union of the hot cells with the boxes, and the part of these cells that is inside them.

    Whole cells are counted, not a smoothed outline, so that :func:`best_overlap` is a bound.

    Args:
        heatmap: Before upsampling, ``(h, h)``.
        boxes: Of one image.
        size: Side of the image in pixels, S.

    Returns:
        Both 0 for a map without positive evidence, and for boxes that hold no pixel.
    """
    cell = _cell_of_pixel(heatmap.shape[0], size)
    region = ((heatmap >= HOT * heatmap.max()) & (heatmap > 0))[cell[:, None], cell[None, :]]
    mask = box_mask(boxes, size, size)
    common = float((region & mask).sum())
    union, area = float((region | mask).sum()), float(region.sum())
    return (common / union if union else 0.0), (common / area if area else 0.0)


def _cell_of_pixel(cells: int, size: int) -> NDArray[np.intp]:
    """Which of a map's cells each pixel along a side is in, ``(S,)``."""
    place: NDArray[np.intp] = (np.arange(size) * cells) // size
    return place


def best_overlap(boxes: Sequence[Box], cells: int, size: int) -> float:
    """The highest intersection over union that a region of whole cells can have with the boxes.

    Cells are taken in the order of their part inside the boxes; for a union of cells that order holds the optimum.

    Args:
        boxes: Of one image.
        cells: Along each side of the map before it is upsampled.
        size: Side of the image in pixels, S.
    """
    mask = box_mask(boxes, size, size)
    if not mask.any():
        return 0.0
    cell = _cell_of_pixel(cells, size)
    number = cell[:, None] * cells + cell[None, :]
    inside = np.bincount(number.ravel(), mask.ravel(), minlength=cells * cells)
    area = np.bincount(number.ravel(), minlength=cells * cells).astype(float)
    order = np.argsort(-inside / np.maximum(area, 1), kind="stable")
    common, taken = np.cumsum(inside[order]), np.cumsum(area[order])
    return float((common / (mask.sum() + taken - common)).max())
