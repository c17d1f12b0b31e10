"""Heat maps over their images without matplotlib, against matplotlib's colors and the report's pictures."""

from io import BytesIO

import numpy as np
from matplotlib import colormaps
from PIL import Image

from cxr_lightning.explain.heatmap_pictures import heatmap_colors, heatmap_picture, png_bytes
from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.report.overlays import blend_heatmap
from tests.films import film

RAMP = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)


def test_the_colors_are_those_of_matplotlib() -> None:
    expected = np.asarray(colormaps["inferno"](RAMP))[..., :3]
    assert np.abs(heatmap_colors(RAMP) - expected).max() < 5 / 255  # straight lines between 21 of 256 colors


def test_the_picture_is_that_of_the_report() -> None:
    gray = film(1)
    expected = blend_heatmap(np.repeat(gray[..., None] / 255, 3, axis=2), RAMP) * 255
    found = np.asarray(heatmap_picture(gray, RAMP)).astype(float)
    assert np.abs(found - expected).max() < 5


def test_a_map_without_evidence_leaves_the_image() -> None:
    gray = film(1)
    picture = np.asarray(heatmap_picture(gray, np.zeros((64, 64), np.float32)))
    np.testing.assert_array_equal(picture, np.repeat(gray[..., None], 3, axis=2))


def test_an_overlay_is_a_png_in_a_notebook() -> None:
    overlay = Overlay("x", "Mass", REQUESTED, film(1), RAMP, 0.5, float("nan"))
    with Image.open(BytesIO(png_bytes(overlay.picture))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(overlay.picture))
    assert "array" not in repr(overlay)
