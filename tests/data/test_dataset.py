"""Samples have the promised shapes and values, and the sampler an order that (seed, epoch) decides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.data.dataset import ChestXRayDataset, EpochSampler
from cxr_lightning.data.images import ImageRejectedError


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Three 16 x 16 images, the k-th all of grey 10 * k; its index does not start at 0."""
    for number in range(3):
        Image.new("L", (16, 16), 10 * number).save(tmp_path / f"{number}.png")
    columns = {"path": [str(tmp_path / f"{number}.png") for number in range(3)], "Mass": [0.0, 1.0, np.nan]}
    return pd.DataFrame({**columns, "Edema": [1.0, 0.0, 0.0]}, index=[7, 8, 9])


def test_a_sample_has_the_designs_shapes_types_and_values(table: pd.DataFrame) -> None:
    dataset = ChestXRayDataset(table, ["Edema", "Mass"], 24)
    assert len(dataset) == 3
    for index in range(3):
        sample = dataset[index]
        assert sample["image"].dtype == torch.uint8
        assert torch.equal(sample["image"], torch.full((1, 24, 24), 10 * index, dtype=torch.uint8))
        assert sample["target"].dtype == torch.float32
        assert sample["index"].dtype == torch.int64
        assert int(sample["index"]) == index
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, torch.nan]])
    torch.testing.assert_close(dataset.targets, expected, equal_nan=True)
    torch.testing.assert_close(dataset[2]["target"], expected[2], equal_nan=True)


def test_a_broken_image_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(ImageRejectedError, match=r"1\.png' but the file is empty"):
        ChestXRayDataset(table, ["Mass"], 24)[1]


def test_a_samples_pixels_can_be_written_to_without_a_warning(table: pd.DataFrame) -> None:
    sample = ChestXRayDataset(table, ["Mass"], 16)[0]  # of the file's own size: nothing was resized
    sample["image"] += 1
    assert int(ChestXRayDataset(table, ["Mass"], 16)[0]["image"].max()) == 0


@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.integers(0, 1000))
@settings(max_examples=25)
def test_every_epoch_is_a_permutation_that_seed_and_epoch_repeat(size: int, seed: int, epoch: int) -> None:
    first, second = EpochSampler(size, seed), EpochSampler(size, seed)
    first.set_epoch(epoch)
    order = list(first)
    assert sorted(order) == list(range(size))
    list(second)  # what was drawn before does not matter
    second.set_epoch(epoch)
    assert list(second) == order == list(first)
    assert len(first) == size


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = set()
    for seed in range(3):
        sampler = EpochSampler(50, seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
    assert len(orders) == 9
