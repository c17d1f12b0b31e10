"""What happens to a sample depends on (seed, epoch, index) alone, and is what its parameters say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.data import augment
from cxr_lightning.data.augment import Augmentation, draw_uniform

OFF: dict[str, float] = dict.fromkeys(["rotation", "shift", "scale", "brightness", "contrast", "flip"], 0.0)
ROTATION, SCALE, SHIFT_X, SHIFT_Y, CONTRAST, BRIGHTNESS, FLIP = range(7)


def pictures(count: int, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, size, size), generator=generator, dtype=torch.uint8)


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fixes the drawn numbers: ``fixed({SHIFT_X: 0.5})``; the others are 0."""

    def fix(values: dict[int, float]) -> None:
        def draw(indices: list[int], **_: Any) -> NDArray[np.float32]:
            row = [values.get(column, 0.0) for column in range(7)]
            return np.tile(np.array(row, dtype=np.float32), (len(indices), 1))

        monkeypatch.setattr(augment, "draw_uniform", draw)

    return fix


def augmented(augmentation: Augmentation, images: Tensor, indices: Tensor, *, seed: int = 0, epoch: int = 0) -> Tensor:
    return augmentation(images, augmentation.draw(indices, seed=seed, epoch=epoch))


def transform(images: Tensor, *, seed: int = 0, epoch: int = 0, **limits: float) -> Tensor:
    return augmented(Augmentation(**{**OFF, **limits}), images, torch.arange(len(images)), seed=seed, epoch=epoch)


def test_the_result_is_float_in_the_pixels_range_and_of_the_same_shape() -> None:
    images = pictures(5)
    changed = augmented(Augmentation(brightness=0.9, contrast=0.9), images, torch.arange(5))
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_limits_of_zero_change_nothing() -> None:
    images = pictures(6)
    # The sampling grid is float32: places are off by 1e-6 pixels, of steps of up to 255.
    torch.testing.assert_close(transform(images), images.float(), atol=1e-2, rtol=0)


@given(st.permutations(range(8)), st.integers(0, 2**32 - 1), st.integers(0, 10**6), st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_neither_order_nor_batch_changes_what_happens_to_a_sample(
    order: list[int], seed: int, epoch: int, size: int
) -> None:
    images, indices = pictures(8), torch.arange(100, 108)
    whole = augmented(Augmentation(flip=0.5), images, indices, seed=seed, epoch=epoch)
    for part in torch.split(torch.tensor(order), size):
        alone = augmented(Augmentation(flip=0.5), images[part], indices[part], seed=seed, epoch=epoch)
        torch.testing.assert_close(alone, whole[part], atol=1e-3, rtol=0)  # vectorised sums differ in the last bits


def test_samples_epochs_and_seeds_have_draws_of_their_own() -> None:
    draws = [draw_uniform([0, 1], seed=seed, epoch=epoch, count=7) for seed in (0, 1) for epoch in (0, 1)]
    assert len(np.unique(np.concatenate(draws))) == 4 * 2 * 7


def test_draws_are_uniform_within_plus_and_minus_one() -> None:
    draws = draw_uniform(range(4000), seed=3, epoch=1, count=7)
    assert draws.dtype == np.float32
    assert draws.min() >= -1
    assert draws.max() <= 1
    # The mean of 4000 has a standard error of 0.009, their variance (1/3) one of 0.005: five of each.
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.046)
    np.testing.assert_allclose(draws.var(axis=0), 1 / 3, atol=0.025)


def test_a_constant_picture_stays_constant_inside() -> None:
    images = torch.full((8, 1, 32, 32), 100, dtype=torch.uint8)
    moved = transform(images, rotation=5, shift=0.04, scale=0.1)
    torch.testing.assert_close(moved[:, :, 8:24, 8:24], torch.full((8, 1, 16, 16), 100.0))


@pytest.mark.parametrize(("column", "axis"), [(SHIFT_X, 3), (SHIFT_Y, 2)])
def test_a_shift_moves_a_dot_by_its_share_of_the_side(fixed: Callable[..., None], column: int, axis: int) -> None:
    fixed({column: 0.5})
    images = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    images[0, 0, 8, 8] = 255
    moved = transform(images, shift=0.25)  # half of a quarter of 16 pixels: two
    expected = torch.roll(images, -2, dims=axis).float()
    torch.testing.assert_close(moved, expected, atol=1e-2, rtol=0)


def test_a_quarter_turn_is_the_transposed_picture_mirrored(fixed: Callable[..., None]) -> None:
    fixed({ROTATION: 0.5})
    images = pictures(1)
    turned = transform(images, rotation=179.999999)  # half of 180 degrees
    expected = torch.rot90(images, 1, dims=(2, 3)).float()
    # At 90 degrees every pixel falls on a pixel; float32's cosine leaves 4e-8 of the side.
    torch.testing.assert_close(turned, expected, atol=1e-2, rtol=0)


def test_an_enlarged_square_has_its_sides_times_the_scale(fixed: Callable[..., None]) -> None:
    images = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    images[0, 0, 24:40, 24:40] = 200
    for draw, factor in ((1.0, 1.5), (-1.0, 0.5)):
        fixed({SCALE: draw})
        area = transform(images, scale=0.5).sum() / 200
        assert float(area) == pytest.approx((16 * factor) ** 2, rel=0.02)  # bilinear edges


def test_brightness_adds_and_contrast_stretches_about_the_mean(fixed: Callable[..., None]) -> None:
    images = torch.tensor([[[[100, 120], [80, 100]]]], dtype=torch.uint8)
    fixed({BRIGHTNESS: 0.5})
    expected = images.float() + 0.5 * 0.2 * 255
    torch.testing.assert_close(transform(images, brightness=0.2), expected, atol=1e-2, rtol=0)
    fixed({CONTRAST: -1.0})
    torch.testing.assert_close(
        transform(images, contrast=0.5), torch.tensor([[[[100.0, 110], [90, 100]]]]), atol=1e-2, rtol=0
    )


def test_nothing_is_mirrored_by_default(fixed: Callable[..., None]) -> None:
    assert Augmentation().flip == 0
    fixed({FLIP: -1.0})  # the draw that mirrors first
    images = pictures(1)
    torch.testing.assert_close(transform(images), images.float(), atol=1e-2, rtol=0)


def test_a_flip_mirrors_left_and_right_with_its_probability() -> None:
    images = pictures(1).expand(400, 1, 16, 16)
    changed = transform(images, flip=0.25)
    mirrored = ((changed - images.flip(3).float()).abs().amax(dim=(1, 2, 3)) < 0.1).sum()
    same = ((changed - images.float()).abs().amax(dim=(1, 2, 3)) < 0.1).sum()
    assert int(mirrored + same) == 400
    assert abs(int(mirrored) - 100) < 45  # five standard errors


def test_a_flip_mirrors_the_turned_picture(fixed: Callable[..., None]) -> None:
    images = pictures(1)
    fixed({ROTATION: 0.5, FLIP: 1.0})
    turned = transform(images, rotation=60)
    fixed({ROTATION: 0.5, FLIP: -1.0})
    both = transform(images, rotation=60, flip=0.5)
    torch.testing.assert_close(both, turned.flip(3), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotation", 181), ("shift", 1.1), ("scale", 1.0), ("brightness", -0.1), ("contrast", 1.2), ("flip", 1.1)],
)
def test_an_impossible_limit_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"`{name}` of the augmentation in \[0, .* but got {value}"):
        Augmentation(**{name: value})
