"""Maps and boxes made by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.metrics.localization import best_possible_iou, box_mask, iou_and_iobb, pointing_game_hit


def spot(row: int, column: int, size: int = 4) -> np.ndarray:
    heatmap = np.zeros((size, size), dtype=np.float32)
    heatmap[row, column] = 1
    return heatmap


UPPER_LEFT = (0.0, 0.0, 0.5, 0.5)


def test_the_point_is_inside_at_the_edge_or_outside() -> None:
    assert pointing_game_hit(spot(0, 0), [UPPER_LEFT])
    assert pointing_game_hit(spot(1, 1), [UPPER_LEFT])  # its center is at 0.375
    assert not pointing_game_hit(spot(1, 2), [UPPER_LEFT])  # at 0.625
    assert pointing_game_hit(spot(1, 2), [(0.625, 0.375, 0.1, 0.1)])  # a box begins at its edge
    assert not pointing_game_hit(spot(1, 2), [(0.525, 0.275, 0.1, 0.1)])  # and ends before it


def test_an_empty_map_misses_and_overlaps_nothing() -> None:
    empty = np.zeros((4, 4), dtype=np.float32)
    assert not pointing_game_hit(empty, [(0.0, 0.0, 1.0, 1.0)])
    assert iou_and_iobb(empty, [(0.0, 0.0, 1.0, 1.0)], 8) == (0.0, 0.0)


def test_equal_points_count_by_their_fraction() -> None:
    heatmap = spot(0, 0) + spot(3, 3)
    assert pointing_game_hit(heatmap, [UPPER_LEFT])
    assert not pointing_game_hit(heatmap + spot(3, 0), [UPPER_LEFT])


def test_two_boxes_are_one_region_and_a_box_beyond_the_image_is_cut_off() -> None:
    boxes = [UPPER_LEFT, (0.5, 0.5, 3.0, 3.0)]
    assert box_mask(boxes, 4, 4).sum() == 8
    assert pointing_game_hit(spot(3, 3), boxes)
    assert box_mask([(-0.5, -0.5, 0.75, 0.75)], 4, 4).sum() == 1
    assert box_mask([(2.0, 2.0, 1.0, 1.0)], 4, 4).sum() == 0


def test_overlap_by_hand() -> None:
    heatmap = np.zeros((4, 4), dtype=np.float32)
    heatmap[:2, :3] = 0.6  # six pixels above half of the maximum, the maximum among them
    heatmap[0, 0] = 1
    heatmap[3, 3] = 0.4
    iou, iobb = iou_and_iobb(heatmap, [UPPER_LEFT], 4)  # four pixels, all in the region
    assert iou == pytest.approx(4 / 6)
    assert iobb == pytest.approx(4 / 6)
    assert iou_and_iobb(heatmap, [(0.5, 0.0, 0.5, 0.5)], 8) == pytest.approx((2 / 8, 2 / 6))


@given(st.floats(0, 0.8), st.floats(0, 0.8), st.floats(0.05, 0.6), st.floats(0.05, 0.6))
@settings(max_examples=30, deadline=None)
def test_the_best_overlap_is_that_of_an_exhaustive_search_over_cells(
    x: float, y: float, width: float, height: float
) -> None:
    box, size = (x, y, width, height), 12
    mask = box_mask([box], size, size)
    best = 0.0
    for cells in itertools.product([False, True], repeat=9):
        region = np.kron(np.array(cells).reshape(3, 3), np.ones((4, 4), dtype=bool)).astype(bool)
        union = (region | mask).sum()
        best = max(best, float((region & mask).sum() / union) if union else 0.0)
    assert best_possible_iou([box], 3, size) == pytest.approx(best)


def test_the_best_overlap_of_a_box_of_whole_cells_is_1_and_of_one_without_pixels_0() -> None:
    assert best_possible_iou([(0.25, 0.5, 0.5, 0.25)], 4, 64) == 1.0
    assert best_possible_iou([(2.0, 0.0, 1.0, 1.0)], 4, 64) == 0.0


@given(
    st.lists(st.floats(0, 1, width=32), min_size=9, max_size=9),
    st.floats(0, 0.8),
    st.floats(0, 0.8),
    st.floats(0.05, 0.6),
)
@settings(max_examples=100, deadline=None)
def test_no_map_overlaps_better_than_the_best(values: list[float], x: float, y: float, side: float) -> None:
    heatmap, boxes = np.array(values, dtype=np.float32).reshape(3, 3), [(x, y, side, side)]
    assert iou_and_iobb(heatmap, boxes, 12)[0] <= best_possible_iou(boxes, 3, 12) + 1e-12
