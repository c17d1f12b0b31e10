"""Files that version 0.1 wrote are evaluated, predicted, exported and trained from; its runs are not resumed.

``tests/data/version_0_1`` holds a checkpoint, its exports, its predictions and its report's numbers, all by version
0.1 on the tiny set of ``tests/conftest.py`` (60 patients). Numbers may differ by rounding between processors: 1e-5.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cxr_lightning import load_model
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.imaging.reader import read_gray, resize
from cxr_lightning.inference.predictions_file import read_predictions
from cxr_lightning.models.version_0_1 import current_names, is_version_0_1
from tests.conftest import Run, start, write_nih

FILES = Path(__file__).parents[1] / "data" / "version_0_1"
EXPECTED = json.loads((FILES / "expected.json").read_text())
LABELS = "data.labels=[Effusion,Infiltration,Mass,Nodule]"
SETTINGS = (
    "data=nih",
    LABELS,
    "data.image_size=64",
    "data.batch_size=8",
    "data.num_workers=0",
    "data.val_fraction=0.4",
    "model=densenet_micro",
    "model.preprocessing=samplewise",
    "trainer.accelerator=cpu",
    "callbacks.progress_bar=null",
    "logger=none",
)
Evaluate = Callable[..., Path]


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nih(tmp_path_factory.mktemp("data") / "nih", patients=60, images_per_patient=2, size=32)


@pytest.fixture
def evaluate(nih: Path, tmp_path: Path) -> Evaluate:
    """Runs evaluate.py; gives the report's folder."""

    def run_with(*overrides: str) -> Path:
        settings = ["progress_bar=false", "replicates=50", "gradcam.top=2", f"root={nih}"]
        assert start(run_evaluate, tmp_path, *settings, f"hydra.run.dir={tmp_path / 'report'}", *overrides) == 0
        return tmp_path / "report"

    return run_with


def differences(found: Any, expected: Any, key: str = "") -> list[str]:
    """Keys under which two JSON values differ; numbers by more than 1e-5. Keys that have been added do not count.

    Checks of heat maps go by the ranks of their pixels, and nearly equal ones exchange theirs on another processor.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        if lost := sorted(expected.keys() - found.keys()):
            return [f"{key}: keys {lost}"]
        return [text for name in expected for text in differences(found[name], expected[name], f"{key}/{name}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [text for place, pair in pairs for text in differences(*pair, f"{key}/{place}")]
    if isinstance(expected, float) and isinstance(found, int | float):
        tolerance = 1e-3 if key.startswith("/explanation/sanity/") else 1e-5
        return [] if abs(found - expected) < tolerance else [f"{key}: {found} {expected}"]
    return [] if found == expected else [f"{key}: {found} {expected}"]


def test_the_names_are_really_those_of_version_0_1() -> None:
    state = torch.load(FILES / "best.ckpt", weights_only=True)["state_dict"]
    assert is_version_0_1(state)
    assert not is_version_0_1(current_names(state))
    assert {*load_classifier(str(FILES / "best.ckpt")).state_dict()} == {*current_names(state)}


def test_the_report_has_the_same_numbers(evaluate: Evaluate) -> None:
    folder = evaluate(f"ckpt={FILES / 'best.ckpt'}", "accelerator=cpu")
    found = json.loads((folder / "metrics.json").read_text())
    found["model"]["file"] = "best.ckpt"
    found["settings"]["data"]["settings"]["root"] = "/data/nih"
    assert differences(found, json.loads((FILES / "metrics.json").read_text())) == []
    ours, theirs = (read_predictions(path / "predictions.csv") for path in (folder, FILES))
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
    assert (ours.image_ids == theirs.image_ids).all()


def test_predictions_of_version_0_1_are_scored(evaluate: Evaluate) -> None:
    folder = evaluate(f"predictions={FILES / 'predictions.csv'}", "data=nih", LABELS)
    ours, theirs = (json.loads((path / "metrics.json").read_text())["macro"]["auroc"] for path in (folder, FILES))
    # The last bits are those of the numpy that is installed: which one differs between versions of Python.
    assert ours == pytest.approx(theirs, rel=0, abs=1e-12)


@pytest.mark.parametrize("name", ["best.ckpt", "model.onnx", "model.safetensors"])
def test_every_file_predicts_the_same(name: str, nih: Path) -> None:
    paths = [nih / "images" / image for image in EXPECTED["images"]]
    found = load_model(FILES / name, device="cpu").predict(paths)
    probabilities = [list(result.probabilities.values()) for result in found]
    np.testing.assert_allclose(probabilities, EXPECTED["probabilities"], atol=1e-5)
    assert all(finding.above is not None for result in found for finding in result.findings)


def test_heat_maps_are_the_same(nih: Path) -> None:
    paths = [nih / "images" / image for image in EXPECTED["images"]]
    images = torch.stack([torch.from_numpy(resize(read_gray(path), 64).copy())[None] for path in paths])
    maps = GradCam(load_classifier(str(FILES / "best.ckpt")).network).heatmaps(images, [0, 1, 2, 3])
    np.testing.assert_allclose(maps.numpy(), EXPECTED["heatmaps"], atol=1e-5)


def test_it_is_checked_and_exported_under_todays_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(FILES / "best.ckpt"), "--device", "cpu"]) == 0
    assert main(["export", str(FILES / "best.ckpt"), str(tmp_path / "x.safetensors")]) == 0
    (difference,) = re.findall("largest difference ([^ ,;\n]+)", capsys.readouterr().out)[-1:]
    assert float(difference) < 1e-6  # on the processor that saved it, 0
    content = read_checkpoint(str(tmp_path / "x.safetensors"))
    assert content["cxr_lightning"]["format"] == 2
    theirs = read_checkpoint(str(FILES / "best.ckpt"))["state_dict"]
    backbone = [name for name in theirs if name.startswith("network.")]
    assert backbone
    assert all(torch.equal(content["state_dict"][name], theirs[name]) for name in backbone)


@pytest.mark.parametrize("name", ["best.ckpt", "model.safetensors"])
def test_training_starts_from_its_weights(name: str, run: Run, nih: Path) -> None:
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "test=false", f"data.root={nih}"]
    code, folder = run(*SETTINGS, *short, f"model.weights={FILES / name}")
    assert code == 0
    source = read_checkpoint(str(folder / "checkpoints" / "last.ckpt"))["cxr_lightning"]["source"]
    assert "the last layer is theirs, in the order of the labels" in source["decisions"]


@pytest.mark.slow
def test_a_run_of_version_0_1_is_tested_but_not_resumed(
    run: Run, nih: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "last.ckpt"
    shutil.copyfile(FILES / "best.ckpt", checkpoint)
    arguments = [*SETTINGS, f"data.root={nih}", f"ckpt_path={checkpoint}"]
    assert run(*arguments, "trainer.max_epochs=9")[0] == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is of version 0.1" in error
    assert f"model.weights={checkpoint}" in error
    code, folder = run(*arguments, "train=false")
    assert code == 0
    mean = json.loads((folder / "summary.json").read_text())["test"]["macro_auroc"]
    expected = json.loads((FILES / "metrics.json").read_text())["macro"]["auroc"]["value"]
    assert mean == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_its_calibrated_copy_is_not_resumed_either(
    run: Run, nih: Path, evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "calibrated.ckpt"
    evaluate(f"ckpt={FILES / 'best.ckpt'}", "accelerator=cpu", "gradcam.top=0", f"save_calibrated={copy}")
    assert load_model(copy, device="cpu").postprocessing is not None
    assert run(*SETTINGS, f"data.root={nih}", f"ckpt_path={copy}", "trainer.max_epochs=9")[0] == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "holds a model alone" in error


def test_rewriting_under_todays_names_changes_no_bit(tmp_path: Path) -> None:
    old = load_classifier(str(FILES / "best.ckpt"))
    save_classifier(old, tmp_path / "x.ckpt")
    new = load_classifier(str(tmp_path / "x.ckpt"))
    images = torch.randint(0, 256, (3, 1, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(new(images), old(images))
    maps = [GradCam(model.network).heatmaps(images, [0, 3]) for model in (old, new)]
    assert torch.equal(*maps)
