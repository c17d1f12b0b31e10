"""Metadata that was changed since this package wrote it: refused in one line, whatever file holds it."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.checkpoints.metadata import check_metadata
from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.inference.onnx_backend import OnnxBackend
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.file_names import METADATA_KEY

FILES = Path(__file__).parents[2] / "data" / "version_0_1"
MISSING = object()
Change = Callable[[dict[str, Any]], None]


def change_checkpoint(change: Change, folder: Path) -> Path:
    content = torch.load(FILES / "best.ckpt", weights_only=True)
    change(content[METADATA_KEY])
    torch.save(content, folder / "x.ckpt")
    return folder / "x.ckpt"


def changed_description(text: str, change: Change) -> str:
    description = json.loads(text)
    change(description["record"])
    return json.dumps(description)


def change_safetensors(change: Change, folder: Path) -> Path:
    source = FILES / "model.safetensors"
    with safe_open(source, framework="pt") as file:
        metadata = dict(file.metadata())
    metadata[METADATA_KEY] = changed_description(metadata[METADATA_KEY], change)
    save_file(load_file(source), folder / "x.safetensors", metadata=metadata)
    return folder / "x.safetensors"


def change_onnx(change: Change, folder: Path) -> Path:
    program = onnx.load(FILES / "model.onnx")
    (entry,) = [entry for entry in program.metadata_props if entry.key == METADATA_KEY]
    entry.value = changed_description(entry.value, change)
    onnx.save(program, folder / "x.onnx")
    return folder / "x.onnx"


def read_metadata(path: Path) -> Any:
    if path.suffix == ".onnx":
        return OnnxBackend(path).metadata
    return read_checkpoint(str(path))[METADATA_KEY]


def in_every_file(*marks: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """The test is of every kind of file; that of an ONNX file, which is checked in another process, has the marks."""
    quick = [pytest.param(change_checkpoint, id="checkpoint"), pytest.param(change_safetensors, id="safetensors")]
    return pytest.mark.parametrize("write", [*quick, pytest.param(change_onnx, id="onnx", marks=marks)])


@in_every_file(pytest.mark.slow)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", MISSING),
        ("format", "2"),
        ("format", 3),
        ("versions", None),
        ("versions.torch", 2),
        ("initial_weights", 1),
        ("source", {"file": "x", "sha256": "0" * 63, "format": "Keras 2", "decisions": []}),
        ("labels", MISSING),
        ("labels", []),
        ("labels", ["Mass", "Mass"]),
        ("untrained_labels", ["Effusion_"]),
        ("data", None),
        ("data.synthetic", "no"),
        ("data.splits.train.images", -1),
        ("data.settings.split", MISSING),
        ("prevalence.Mass", "x"),
        ("prevalence.Mass", 1.5),
        ("constant_loss.train", []),
        ("monitor", 1),
        ("fitted", None),
        ("fitted.calibration", MISSING),
        ("fitted.calibration.Mass.method", "isotonic"),
        ("fitted.calibration.Mass.slope", 0.0),
        ("fitted.operating_points.Mass.youden", "0.5"),
        ("fitted.positives.Mass", -1),
        ("val_auroc", MISSING),
        ("val_auroc.Mass", 1.1),
    ],
)
def test_wrong_metadata_is_one_line_that_names_the_file_and_the_key(
    write: Callable[[Change, Path], Path], key: str, value: object, tmp_path: Path
) -> None:
    def change(metadata: dict[str, Any]) -> None:
        *outer, last = key.split(".")
        inner = metadata
        for name in outer:
            inner = inner[name]
        if value is MISSING:
            del inner[last]
        else:
            inner[last] = value

    path = write(change, tmp_path)
    with pytest.raises(ValueError, match=re.escape(f"'{path}'")) as error:
        read_metadata(path)
    said = str(error.value)
    place = f"{key}.sha256" if key == "source" else key
    assert f"{place}` is {'missing' if value is MISSING else ''}" in said
    assert "\n" not in said
    assert len(said) < 500


@in_every_file()
def test_keys_of_later_versions_are_kept(write: Callable[[Change, Path], Path], tmp_path: Path) -> None:
    def change(metadata: dict[str, Any]) -> None:
        metadata["device"] = {"name": "cpu"}
        metadata["data"]["weather"] = ["rain"]
        metadata["fitted"]["positives"]["Mass"] = 7

    found = read_metadata(write(change, tmp_path))
    assert found["device"] == {"name": "cpu"}
    assert found["data"]["weather"] == ["rain"]
    assert found["fitted"]["positives"]["Mass"] == 7


def test_the_three_files_of_one_model_say_the_same() -> None:
    checkpoint, *exported = (read_metadata(FILES / name) for name in ("best.ckpt", "model.safetensors", "model.onnx"))
    assert exported == [checkpoint, checkpoint]


def test_what_is_undefined_and_what_was_rounded_up_are_read(tmp_path: Path) -> None:
    model = ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=32)
    model.metadata |= {"prevalence": {"Mass": math.nan}, "constant_loss": {"train": math.nan, "val": math.inf}}
    model.val_auroc_by_label = {"Mass": 1.0000001192092896}  # torchmetrics sums in float32
    save_classifier(model, tmp_path / "x.ckpt")
    assert math.isnan(load_classifier(str(tmp_path / "x.ckpt")).metadata["prevalence"]["Mass"])


@pytest.mark.parametrize("metadata", [None, [1], {1: 2}, {"labels": torch.ones(2)}])
def test_what_is_no_metadata_at_all_is_one_line(metadata: object) -> None:
    with pytest.raises(ValueError, match=r"metadata that cxr_lightning wrote in 'x.ckpt'") as error:
        check_metadata(metadata, "x.ckpt")
    assert "\n" not in str(error.value)
