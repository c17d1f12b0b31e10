"""statistics.json that was damaged is computed again."""

import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.training.pixel_statistics import shared_training_statistics

IMAGES = {"images": 2, "patients": 1, "sha256": "0" * 64}
STORED = {"mean": 7.5, "std": 2.0, "images": IMAGES}


def statistics(folder: Path) -> dict[str, float]:
    """The statistics of pixels 0, 100, 200 and 100."""
    pixels = torch.tensor([[[0, 100], [200, 100]]], dtype=torch.uint8)
    dataset = SimpleNamespace(sample_images=lambda count, seed: iter([pixels]))
    module: Any = SimpleNamespace(
        record=lambda: {"splits": {"train": IMAGES}}, dataset=lambda split: dataset, selection=SimpleNamespace(seed=0)
    )
    return shared_training_statistics(cast(ChestXRayDataModule, module), folder)


def test_statistics_are_computed_once(tmp_path: Path) -> None:
    assert statistics(tmp_path)["mean"] == 100.0
    assert json.loads((tmp_path / "statistics.json").read_text())["images"] == IMAGES
    (tmp_path / "statistics.json").write_text(json.dumps(STORED))
    assert statistics(tmp_path) == {"mean": 7.5, "std": 2.0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        json.dumps({**STORED, "mean": "7.5"}),
        json.dumps({**STORED, "std": 0}),
        json.dumps({**STORED, "std": float("nan")}),
        json.dumps({**STORED, "images": 2}),
        json.dumps({**STORED, "images": {**IMAGES, "images": -1}}),
    ],
)
def test_damaged_statistics_are_computed_again(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "statistics.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert statistics(tmp_path)["mean"] == 100.0
    assert "statistics.json' is damaged and computed again: " in caplog.text
    assert statistics(tmp_path)["mean"] == 100.0


def test_a_pipe_in_their_place_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "statistics.json")
    assert statistics(tmp_path)["mean"] == 100.0
    assert "it is no regular file" in caplog.text
