"""Localization of annotated boxes by a heatmap: the pointing game, and overlap with the hot region.

A heatmap is not negative, a box is ``(x, y, width, height)`` in fractions of the image's sides. A pixel, or a cell of a
heatmap, belongs to a box if its center does.

References:
    Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016 (pointing game); Wang et al.,
    "ChestX-ray8", CVPR 2017 (IoU and IoBB; there the region is a rectangle around the hot pixels, here these pixels).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.utils.coordinates import FractionalBox, cell_of_pixel, grid_centers

Heatmap = NDArray[np.float32]

HOT_FRACTION = 0.5
"""Fraction of a heatmap's maximum from which a pixel belongs to the hot region."""

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
IOBB_THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)


def box_mask(boxes: Sequence[FractionalBox], height: int, width: int) -> NDArray[np.bool_]:
    """Mask of the pixels in any of the boxes, ``(H, W)``; parts outside the image are ignored.

    Example:
        >>> box_mask([(0.5, 0.0, 0.5, 0.5)], 2, 4).astype(int).tolist()
        [[0, 0, 1, 1], [0, 0, 0, 0]]
    """
    x, y = grid_centers(width), grid_centers(height)
    mask = np.zeros((height, width), dtype=bool)
    for left, top, box_width, box_height in boxes:
        inside_x, inside_y = (x >= left) & (x < left + box_width), (y >= top) & (y < top + box_height)
        mask |= inside_y[:, None] & inside_x[None, :]
    return mask


def pointing_game_hit(heatmap: Heatmap, boxes: Sequence[FractionalBox]) -> bool:
    """Whether the maximum is in a box; of several equal maxima at least half must be.

    The heatmap is the one before upsampling: the center of its hottest cell is the maximum of any bilinear
    upsampling, which repeats it towards the border. A heatmap without positive values misses.

    Args:
        heatmap: Heatmap before upsampling, ``(h, w)``.
        boxes: Boxes of the image.
    """
    if not (heatmap > 0).any():
        return False
    highest = heatmap == heatmap.max()
    return bool(box_mask(boxes, *heatmap.shape)[highest].mean() >= 0.5)


def iou_and_iobb(heatmap: Heatmap, boxes: Sequence[FractionalBox], size: int) -> tuple[float, float]:
    """Intersection of the hot cells with the boxes, over their union (IoU) and over the area of the cells (IoBB).

    Whole cells are counted, not a smoothed outline, so that :func:`best_possible_iou` is an upper bound.

    Args:
        heatmap: Heatmap before upsampling, ``(h, h)``.
        boxes: Boxes of the image.
        size: Height and width of the image in pixels, S.

    Returns:
        IoU and IoBB; both 0 for a heatmap without positive values, and for boxes that hold no pixel.
    """
    cell = cell_of_pixel(heatmap.shape[0], size)
    region = ((heatmap >= HOT_FRACTION * heatmap.max()) & (heatmap > 0))[cell[:, None], cell[None, :]]
    mask = box_mask(boxes, size, size)
    intersection = float((region & mask).sum())
    union, area = float((region | mask).sum()), float(region.sum())
    return (intersection / union if union else 0.0), (intersection / area if area else 0.0)


def best_possible_iou(boxes: Sequence[FractionalBox], cells: int, size: int) -> float:
    """Highest intersection over union that a region of whole cells can have with the boxes.

    Cells are added in decreasing order of their fraction inside the boxes; one of these unions is the optimum.

    Args:
        boxes: Boxes of the image.
        cells: Number of cells along each side of the heatmap before upsampling.
        size: Height and width of the image in pixels, S.
    """
    mask = box_mask(boxes, size, size)
    if not mask.any():
        return 0.0
    cell = cell_of_pixel(cells, size)
    number = cell[:, None] * cells + cell[None, :]
    inside = np.bincount(number.ravel(), mask.ravel(), minlength=cells * cells)
    area = np.bincount(number.ravel(), minlength=cells * cells).astype(float)
    order = np.argsort(-inside / np.maximum(area, 1), kind="stable")
    intersection, added = np.cumsum(inside[order]), np.cumsum(area[order])
    return float((intersection / (mask.sum() + added - intersection)).max())
