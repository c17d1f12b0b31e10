"""Pictures of heat maps without matplotlib: image and maps are in their places, and the words are there."""

import math

import numpy as np
import pytest

from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.report.plain_overlays import draw_overlays

IMAGE = np.full((300, 300), 77, dtype=np.uint8)


def overlay(heatmap: float = 1.0, name: str = "x.png", label: str = "Mass") -> Overlay:
    maps = np.full(IMAGE.shape, heatmap, dtype=np.float32)
    return Overlay(name, label, REQUESTED, IMAGE, maps, 0.25, math.nan)


def test_the_image_stands_beside_its_maps() -> None:
    picture = np.asarray(draw_overlays([overlay(), overlay(0.0)], "TRAINED ON SYNTHETIC DATA"))
    assert picture.shape == (92 + 310, 10 + 3 * 310, 3)
    middle = picture[92 + 150]
    assert middle[10 + 150].tolist() == [77] * 3  # the image
    # Where the map is 1, its brightest color has three quarters: (252, 255, 164) of inferno, and 77 has a quarter.
    assert np.abs(middle[320 + 150].astype(float) - (0.75 * np.array([252, 255, 164]) + 0.25 * 77)).max() <= 1
    assert middle[630 + 150].tolist() == [77] * 3  # the image, under an empty map


@pytest.mark.parametrize("place", [slice(10, 28), slice(28, 46)])
def test_title_and_notice_are_written(place: slice) -> None:
    titled, plain = (np.asarray(draw_overlays([overlay()], title)) for title in ("TRAINED ON SYNTHETIC DATA", ""))
    background = np.array([0x15, 0x18, 0x1C])
    assert (titled[place] != background).any()
    assert (plain[place] != background).any() == (place.start == 28)  # the notice is always there


def test_long_and_hidden_names_stay_in_their_panel() -> None:
    picture = np.asarray(draw_overlays([overlay(name="\x1b" * 5000, label="W" * 5000)], "T"))
    assert (picture[:92, -10:] == picture[0, 0]).all()
    assert (picture[60:92, 310:320] == picture[0, 0]).all()
