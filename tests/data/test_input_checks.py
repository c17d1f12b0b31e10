"""What is suspicious about an image, on synthetic chests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.input_warnings import CORRUPTIONS, flags_of
from cxr_lightning.data.datasets.sources import PhantomSource
from cxr_lightning.imaging.decoded_image import Picture
from cxr_lightning.imaging.quality_flags import AVERAGE_CHEST, check_picture, resemblance
from cxr_lightning.imaging.reader import read_grey, resize

Grey = NDArray[np.uint8]


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> list[Grey]:
    """Synthetic films that the average was not made of."""
    root = tmp_path_factory.mktemp("phantom")
    PhantomSource(seed=5, train_images=60, val_images=20, test_images=40, image_size=128).prepare(root)
    return [read_grey(path) for path in sorted(root.rglob("images/*.png"))]


def codes_of(pixels: Grey, image_size: int = 96, **facts: Any) -> set[str]:
    return {remark.code for remark in check_picture(Picture(pixels, **facts), image_size)}


def test_the_average_is_that_of_the_synthetic_set(chests: list[Grey]) -> None:
    mean = np.mean([resize(pixels, 8).astype(float) for pixels in chests], axis=0)
    assert np.corrcoef(mean.ravel(), AVERAGE_CHEST.ravel())[0, 1] > 0.99


def test_chests_are_not_remarked_upon(chests: list[Grey]) -> None:
    assert [codes for pixels in chests if (codes := codes_of(pixels))] == []


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_what_was_made_wrong_is_named(name: str, chests: list[Grey]) -> None:
    make, codes = CORRUPTIONS[name]
    size = 224 if name == "96 pixels" else 96
    caught = [any(remark.code in codes for remark in flags_of(make(pixels), size)) for pixels in chests]
    assert np.mean(caught) >= 0.95


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda pixels: np.zeros_like(pixels), {"scaled_to_1"}),
        (lambda pixels: np.full_like(pixels, 255), {"nearly_blank"}),
        (lambda pixels: pixels[:64, :64], {"tiny"}),
        (lambda pixels: np.asarray(Image.fromarray(pixels).resize((128, 300))), {"cropped"}),
    ],
)
def test_one_fault_is_one_remark(change: Callable[[Grey], Grey], codes: set[str], chests: list[Grey]) -> None:
    assert codes <= codes_of(change(chests[0])) <= codes | {"unlike_chest"}


@pytest.mark.parametrize("view", ["LL", "RL", "LAT"])
def test_a_lateral_view_is_known_by_the_header(view: str, chests: list[Grey]) -> None:
    assert codes_of(chests[0], view=view) == {"lateral"}
    assert codes_of(chests[0], view="PA") == set()


def test_resemblance_is_a_correlation(chests: list[Grey]) -> None:
    value = resemblance(chests[0])
    small = resize(chests[0], 8).astype(float).ravel()
    average = AVERAGE_CHEST.ravel()
    by_hand = ((small - small.mean()) * (average - average.mean())).mean() / (small.std() * average.std())
    assert value == pytest.approx(by_hand, abs=1e-12)
    assert resemblance(255 - chests[0]) == pytest.approx(-value, abs=0.02)
    assert resemblance(np.full((20, 20), 7, np.uint8)) == 0.0


def test_words_give_the_numbers(tmp_path: Path) -> None:
    (tiny, shape, *_) = check_picture(Picture(np.zeros((30, 60), np.uint8) + 200), 96)[::-1]
    assert tiny.words == "its sides are 60 and 30: it is cropped, or will be squeezed"
    assert shape.words == "it has 60x30 pixels, less than the 96 that the model sees"
