"""Samples have the promised shapes and values."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from cxr_lightning.data.dataset import ChestXRayDataset, ImageFiles
from cxr_lightning.data.manifest import target_array
from cxr_lightning.imaging.decoded_image import ImageRejectedError


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Three 16 x 16 images, the k-th all of gray 10 * k; its index does not start at 0."""
    for number in range(3):
        Image.new("L", (16, 16), 10 * number).save(tmp_path / f"{number}.png")
    columns = {"path": [str(tmp_path / f"{number}.png") for number in range(3)], "Mass": [0.0, 1.0, np.nan]}
    return pd.DataFrame({**columns, "Edema": [1.0, 0.0, 0.0]}, index=[7, 8, 9])


def dataset_of(table: pd.DataFrame, labels: list[str], size: int) -> ChestXRayDataset:
    return ChestXRayDataset(ImageFiles(list(table["path"]), size), target_array(table, labels))


def test_a_sample_has_the_designs_shapes_types_and_values(table: pd.DataFrame) -> None:
    dataset = dataset_of(table, ["Edema", "Mass"], 24)
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


def test_a_batch_is_its_samples_stacked(table: pd.DataFrame) -> None:
    dataset = dataset_of(table, ["Edema", "Mass"], 24)
    batch = dataset.__getitems__([2, 0])
    for place, index in enumerate([2, 0]):
        sample = dataset[index]
        assert torch.equal(batch["image"][place], sample["image"])
        torch.testing.assert_close(batch["target"][place], sample["target"], equal_nan=True)
        assert int(batch["index"][place]) == index


def test_targets_of_another_number_of_images_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="targets of 3 images but got 2"):
        ChestXRayDataset(ImageFiles(list(table["path"]), 24), target_array(table, ["Mass"])[:2])


def test_an_unreadable_image_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(ImageRejectedError, match=r"1\.png' but the file is empty"):
        dataset_of(table, ["Mass"], 24)[1]


def test_a_samples_pixels_can_be_written_to_without_a_warning(table: pd.DataFrame) -> None:
    sample = dataset_of(table, ["Mass"], 16)[0]  # of the file's own size: nothing was resized
    sample["image"] += 1
    assert int(dataset_of(table, ["Mass"], 16)[0]["image"].max()) == 0
