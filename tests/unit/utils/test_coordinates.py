"""Fractions, pixels and cells of an image are related as the metrics, the drawings and the upsampling relate them."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.explain.grad_cam import upsample
from cxr_lightning.utils.coordinates import cell_of_pixel, grid_centers


@given(st.integers(1, 40), st.integers(1, 300))
def test_a_pixel_is_in_the_cell_that_holds_its_left_edge(cells: int, size: int) -> None:
    expected = [max(cell for cell in range(cells) if cell * size <= pixel * cells) for pixel in range(size)]
    assert cell_of_pixel(cells, size).tolist() == expected


@given(st.integers(1, 300))
def test_centers_are_halfway_between_the_edges(size: int) -> None:
    edges = np.arange(size + 1) / size
    np.testing.assert_allclose(grid_centers(size), (edges[:-1] + edges[1:]) / 2, rtol=1e-12)


def test_bilinear_upsampling_keeps_places() -> None:
    cells = torch.from_numpy(grid_centers(7)).expand(1, 7, 7)  # each cell holds its own center's x
    pixels = upsample(cells, 224)[0, 100].numpy()
    inner = slice(16, -16)  # beyond the outer centers the border is repeated
    np.testing.assert_allclose(pixels[inner], grid_centers(224)[inner], atol=1e-9)  # rounding of float64
