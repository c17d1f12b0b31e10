"""What is suspicious about an image, on synthetic chests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmarks.input_warnings import CORRUPTIONS, flags_of
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.imaging.decoded_image import DecodedImage, QualityFlag
from cxr_lightning.imaging.quality_flags import AVERAGE_CHEST, chest_correlation, find_quality_flags
from cxr_lightning.imaging.reader import read_gray, resize

Gray = NDArray[np.uint8]


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> list[Gray]:
    """Synthetic films that the average was not made of."""
    root = tmp_path_factory.mktemp("phantom")
    PhantomLayout(seed=5, train_images=60, val_images=20, test_images=40, image_size=128).prepare(root)
    return [read_gray(path) for path in sorted(root.rglob("images/*.png"))]


def codes_of(pixels: Gray, image_size: int = 96, **facts: Any) -> set[str]:
    return {flag.code for flag in find_quality_flags(DecodedImage(pixels, **facts), image_size)}


def test_the_average_is_that_of_the_synthetic_set(chests: list[Gray]) -> None:
    mean = np.mean([resize(pixels, 8).astype(float) for pixels in chests], axis=0)
    assert np.corrcoef(mean.ravel(), AVERAGE_CHEST.ravel())[0, 1] > 0.99


def test_chests_have_no_flags(chests: list[Gray]) -> None:
    assert [codes for pixels in chests if (codes := codes_of(pixels))] == []


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_what_was_made_wrong_is_named(name: str, chests: list[Gray]) -> None:
    make, codes = CORRUPTIONS[name]
    size = 224 if name == "96 pixels" else 96
    caught = [any(flag.code in codes for flag in flags_of(make(pixels), size)) for pixels in chests]
    # A part of the lungs may be black in a film that is as it should be, so that less of what is cut there is caught.
    assert np.mean(caught) >= (0.85 if name == "saturated: lowest 100 levels cut" else 0.95)


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda pixels: np.zeros_like(pixels), {"scaled_to_1"}),
        (lambda pixels: np.full_like(pixels, 255), {"nearly_blank"}),
        (lambda pixels: np.asarray(Image.fromarray(pixels).resize((64, 64))), {"tiny"}),
        (lambda pixels: np.asarray(Image.fromarray(pixels).resize((128, 300))), {"cropped"}),
    ],
)
def test_one_defect_is_one_flag(change: Callable[[Gray], Gray], codes: set[str], chests: list[Gray]) -> None:
    assert codes <= codes_of(change(chests[0])) <= codes | {"unlike_chest"}


@pytest.mark.parametrize("view", ["LL", "RL", "LAT"])
def test_a_lateral_view_is_known_by_the_header(view: str, chests: list[Gray]) -> None:
    assert codes_of(chests[0], view_position=view) == {"lateral"}
    assert codes_of(chests[0], view_position="PA") == set()


def test_the_chest_correlation_is_a_correlation(chests: list[Gray]) -> None:
    value = chest_correlation(chests[0])
    small = resize(chests[0], 8).astype(float).ravel()
    average = AVERAGE_CHEST.ravel()
    by_hand = ((small - small.mean()) * (average - average.mean())).mean() / (small.std() * average.std())
    assert value == pytest.approx(by_hand, abs=1e-12)
    assert chest_correlation(255 - chests[0]) == pytest.approx(-value, abs=0.02)
    assert chest_correlation(np.full((20, 20), 7, np.uint8)) == 0.0


def test_messages_give_the_numbers(tmp_path: Path) -> None:
    (tiny, shape, *_) = find_quality_flags(DecodedImage(np.zeros((30, 60), np.uint8) + 200), 96)[::-1]
    assert tiny.message == "its sides are 60 and 30: it is cropped, or will be squeezed"
    assert shape.message == "it has 60x30 pixels, less than the 96 that the model sees"


def test_the_middle_alone_tells_whether_an_image_is_saturated(chests: list[Gray]) -> None:
    gray = np.clip(chests[0].astype(int), 10, 240).astype(np.uint8)
    marked = gray.copy()
    marked[:20], marked[:, :20], marked[-20:, -20:] = 255, 0, 255  # borders and letters
    assert "saturated" not in codes_of(marked)
    middle = gray[25:103, 25:103]
    for level, fraction, caught in ((255, 0.04, False), (255, 0.07, True), (0, 0.13, False), (0, 0.18, True)):
        cut = np.quantile(middle, 1 - fraction if level else fraction)
        clipped = np.where(gray > cut if level else gray < cut, level, gray).astype(np.uint8)
        assert ("saturated" in codes_of(clipped)) == caught


def test_flags_of_decoding_are_flags_of_the_image(chests: list[Gray]) -> None:
    flag = QualityFlag("for_processing", "its header says so")
    assert find_quality_flags(DecodedImage(chests[0], flags=(flag,)), 96) == [flag]


def codes_by_definition(pixels: Gray) -> set[str]:
    """The flags of an image's values, each measured on all of its pixels."""
    deviation, correlation = pixels.std(), chest_correlation(pixels)
    height, width = pixels.shape
    middle = pixels[height // 5 : height - height // 5, width // 5 : width - width // 5]
    if pixels.max() <= 1:
        return {"scaled_to_1"}
    if deviation < 4:
        return {"nearly_blank"}
    return {
        *(["low_contrast"] if deviation < 15 else []),
        *(["saturated"] if (middle < 3).mean() > 0.15 or (middle > 252).mean() > 0.05 else []),
        *(["inverted"] if correlation < -0.2 else ["unlike_chest"] if correlation < 0.3 else []),
    }


@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.sampled_from(["chest", "lines", "even"]),
    st.floats(0, 1.3),
    st.floats(0, 90),
    st.integers(0, 2**32 - 1),
)
def test_the_quick_measurements_miss_no_flag(
    height: int, width: int, kind: str, contrast: float, noise: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    chest = np.asarray(Image.fromarray(AVERAGE_CHEST.astype(np.uint8)).resize((width, height)), dtype=float)
    lines = 255.0 * (np.arange(width) % generator.integers(2, 40) < 1) * np.ones((height, 1))
    shape = {"chest": chest, "lines": lines, "even": np.full((height, width), 100.0)}[kind]
    values = 128 + contrast * (shape - 128) + noise * generator.standard_normal((height, width))
    if generator.random() < 0.5:  # sharp edges anywhere, by which the copy differs most
        for _ in range(generator.integers(1, 9)):
            values[generator.integers(height) :, generator.integers(width) :] += generator.normal(0, 120)
    pixels = values.clip(0, 255).astype(np.uint8)
    others = {"tiny", "cropped"}
    assert codes_of(pixels) - others == codes_by_definition(pixels)
