"""Normalization against numbers worked with numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.models.preprocess import Preprocess, featurewise_statistics
from cxr_lightning.models.settings_model import Mode

IMAGES = torch.tensor([[[[0, 51], [102, 255]]], [[[10, 20], [30, 40]]]], dtype=torch.uint8)
# Float32 in values of about 1: a few units of 6e-8.
RTOL, ATOL = 1e-5, 1e-6


@pytest.mark.parametrize("mode", ["imagenet", "samplewise", "none"])
def test_the_result_is_three_channels_of_float_from_uint8_or_float(mode: Mode) -> None:
    preprocess = Preprocess(mode)
    result = preprocess(IMAGES)
    assert result.shape == (2, 3, 2, 2)
    assert result.dtype == torch.float32
    torch.testing.assert_close(preprocess(IMAGES.float()), result)


def test_imagenet_is_each_channels_own_mean_and_deviation() -> None:
    result = Preprocess("imagenet")(IMAGES)
    # White: (1 - .485) / .229, (1 - .456) / .224, (1 - .406) / .225; black: -.485 / .229 ...
    torch.testing.assert_close(result[0, :, 1, 1], torch.tensor([2.248908, 2.428571, 2.64]), rtol=RTOL, atol=ATOL)
    torch.testing.assert_close(
        result[0, :, 0, 0], torch.tensor([-2.117904, -2.035714, -1.804444]), rtol=RTOL, atol=ATOL
    )


def test_featurewise_is_the_given_mean_and_deviation() -> None:
    result = Preprocess("featurewise", mean=100.0, std=50.0)(IMAGES)
    expected = (IMAGES.numpy().astype(float) - 100) / 50
    np.testing.assert_allclose(result, np.repeat(expected, 3, axis=1), rtol=RTOL, atol=ATOL)


def test_samplewise_is_each_images_own_mean_and_deviation() -> None:
    result = Preprocess("samplewise")(IMAGES)
    pixels = IMAGES.numpy().astype(float)
    expected = (pixels - pixels.mean(axis=(1, 2, 3), keepdims=True)) / pixels.std(axis=(1, 2, 3), keepdims=True)
    # The deviation has 1e-6 added, against division by zero: 1e-6 / 0.04 of the second image's.
    np.testing.assert_allclose(result, np.repeat(expected, 3, axis=1), rtol=1e-4)


def test_samplewise_gives_zeros_for_a_constant_image() -> None:
    result = Preprocess("samplewise")(torch.full((1, 1, 4, 4), 200, dtype=torch.uint8))
    torch.testing.assert_close(result, torch.zeros(1, 3, 4, 4))


def test_none_only_scales_to_one() -> None:
    result = Preprocess("none")(IMAGES)
    np.testing.assert_allclose(result[0, 2], IMAGES[0, 0].numpy() / 255, rtol=RTOL, atol=ATOL)


def test_the_statistics_travel_with_the_state_dict() -> None:
    trained, other = (Preprocess("featurewise", mean=mean, std=20.0) for mean in (90.0, 120.0))
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(IMAGES), trained(IMAGES))


@pytest.mark.parametrize(("mean", "std"), [(None, None), (100.0, None), (None, 1.0), (100.0, 0.0), (1.0, float("nan"))])
def test_featurewise_without_usable_statistics_is_refused(mean: float | None, std: float | None) -> None:
    with pytest.raises(ValueError, match=f"featurewise preprocessing but got {mean} and {std}"):
        Preprocess("featurewise", mean=mean, std=std)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`preprocessing` to be one of .* but got 'zscore'"):
        Preprocess("zscore")  # type: ignore[arg-type]  # the error under test


@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=20), min_size=1, max_size=5))
@settings(max_examples=30)
def test_featurewise_statistics_are_numpys(images: list[list[int]]) -> None:
    pixels = np.concatenate([np.array(image) for image in images])
    tensors = [torch.tensor(image, dtype=torch.uint8) for image in images]
    if len(set(pixels.tolist())) == 1:
        with pytest.raises(ValueError, match=f"pixels of differing values but got {len(pixels)} pixels"):
            featurewise_statistics(tensors)
    else:
        np.testing.assert_allclose(featurewise_statistics(tensors), (pixels.mean(), pixels.std()), rtol=1e-9)


def test_featurewise_statistics_of_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="but got 0 pixels"):
        featurewise_statistics([])
