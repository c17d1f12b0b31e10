"""A finding that the training images cannot teach is named before training, and n/a wherever a number is shown."""

import csv
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_lightning import load_model
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.app.train import run_train
from cxr_lightning.cli.main import main
from cxr_lightning.inference.predictions_file import read_predictions
from tests.conftest import QUICK, SMALL, Run, newest, start, summary_of, write_nih

LABELS = "data.labels=[Effusion,Hernia,Mass,Edema]"
"""Hernia is in test images alone, Edema in none."""


def move_hernia_to_the_test_images(root: Path) -> None:
    path = root / "Data_Entry_2017_v2020.csv"
    tested = set((root / "test_list.txt").read_text().split())
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines[1:], start=1):
        name, findings, rest = line.split(",", 2)
        kept = [finding for finding in findings.split("|") if finding not in ("Hernia", "No Finding")]
        kept += ["Hernia"] if name in tested and name.endswith("_001.png") else []
        lines[number] = f"{name},{'|'.join(kept) or 'No Finding'},{rest}"
    path.write_text("\n".join(lines) + "\n")
    with (root / "BBox_List_2017.csv").open("a") as file:
        file.write("00000016_001.png,Hernia,256.0,512.0,128.0,64.0\n")


@dataclass(frozen=True)
class Trained:
    """A run on such data: where it and the data are, and what it printed."""

    place: Path
    root: Path
    out: str

    @property
    def folder(self) -> Path:
        return newest("logs/train/runs/*", self.place)

    @property
    def checkpoint(self) -> str:
        return str(self.folder / "checkpoints/best.ckpt")

    @property
    def image(self) -> str:
        return str(self.root / "images/00000016_001.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    place = tmp_path_factory.mktemp("untrained")
    root = write_nih(place / "nih")
    move_hernia_to_the_test_images(root)
    with redirect_stdout(StringIO()) as out:
        assert start(run_train, place, *SMALL, f"data.root={root}", LABELS, "trainer.max_epochs=1") == 0
    return Trained(place, root, out.getvalue())


@pytest.fixture(scope="module")
def report(trained: Trained) -> Path:
    """The report of the checkpoint with heatmaps, which also writes ``calibrated.ckpt``."""
    settings = [f"ckpt={trained.checkpoint}", f"save_calibrated={trained.place}/calibrated.ckpt"]
    assert start(run_evaluate, trained.place, *settings, "gradcam.top=2", "gradcam.sanity=0", **QUICK) == 0
    return newest("logs/evaluate/runs/*", trained.place)


def metrics_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def test_it_is_named_before_training(trained: Trained) -> None:
    log = (trained.folder / "train.log").read_text()
    assert "lack positives or negatives: Hernia (no positives), Edema (no positives)" in log
    assert "findings of fewer than 10 training patients: Effusion (" in log


def test_it_has_no_score_although_the_test_images_have_both(trained: Trained) -> None:
    tested = summary_of(trained.folder)["test"]
    assert (tested["auroc"]["Hernia"], tested["defined_labels"]) == (None, 2)
    assert "mean of 2 labels" in trained.out


@pytest.mark.parametrize("exported", [None, "model.onnx", "model.safetensors"])
def test_it_has_no_probability_in_any_model_file(trained: Trained, exported: str | None, tmp_path: Path) -> None:
    model = trained.checkpoint if exported is None else str(tmp_path / exported)
    assert exported is None or main(["export", trained.checkpoint, model]) == 0
    (result,) = load_model(model).predict(trained.image)
    assert [label for label, value in result.probabilities.items() if np.isnan(value)] == ["Hernia", "Edema"]
    findings = {finding["label"]: finding for finding in json.loads(json.dumps(result.to_json()))["findings"]}
    assert (findings["Hernia"]["probability"], findings["Hernia"]["above"]) == (None, None)


def test_it_is_not_predicted_in_tables_and_has_no_heatmap(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", trained.image, "--model", trained.checkpoint, "--out", str(tmp_path), "--gradcam"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "Hernia" in line]
    assert line.split()[1:3] == ["n/a", "n/a"]
    (row,) = csv.DictReader((tmp_path / "results.csv").open())
    assert row["prob_Hernia"] == row["above_Hernia"] == ""
    assert not list(tmp_path.glob("heatmaps/*Hernia*"))
    assert list(tmp_path.glob("heatmaps/*.png"))


def test_it_cannot_be_explained(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain", trained.image, "--model", trained.checkpoint, "--labels", "Hernia"]
    assert main([*command, "--out", str(tmp_path / "maps")]) == 1
    assert "was trained on but got ['Hernia']" in capsys.readouterr().err


def test_it_is_undefined_in_the_report(report: Path) -> None:
    metrics = metrics_of(report)
    hernia = metrics["labels"]["Hernia"]
    assert hernia["positives"] == 4
    assert (hernia["auroc"]["value"], hernia["brier"], hernia["operating_points"]) == (None, None, {})
    assert metrics["macro"]["brier"]["defined_labels"] == metrics["macro"]["auroc"]["defined_labels"] == 2
    assert any("so not trained, n/a" in warning and "Hernia, Edema" in warning for warning in metrics["warnings"])
    assert metrics["model"]["untrained_labels"] == ["Hernia", "Edema"]


def test_it_is_not_localized_in_the_report_although_there_is_a_box(report: Path) -> None:
    assert metrics_of(report)["explanation"]["localisation"] == []
    assert not list(report.glob("gradcam/*Hernia*"))


@pytest.mark.usefixtures("report")
def test_it_is_not_calibrated(trained: Trained) -> None:
    (result,) = load_model(trained.place / "calibrated.ckpt").predict(trained.image)
    assert np.isnan(result.findings[1].calibrated)


def test_it_is_undefined_in_predictions_that_are_scored_again(report: Path, trained: Trained) -> None:
    table = report / "predictions.csv"
    assert read_predictions(table).undefined_labels == ("Hernia", "Edema")
    data = ["data=nih", f"data.root={trained.root}", LABELS, "data.val_fraction=0.3"]
    again = trained.place / "again"
    settings = [f"predictions={table}", *data, "replicates=2", f"hydra.run.dir={again}"]
    assert start(run_evaluate, trained.place, *settings) == 0
    metrics, rescored = metrics_of(report), metrics_of(again)
    assert rescored["labels"]["Hernia"]["auroc"] == metrics["labels"]["Hernia"]["auroc"]
    assert rescored["macro"]["auroc"]["value"] == metrics["macro"]["auroc"]["value"]
    assert any("hold no probability for these" in warning for warning in rescored["warnings"])


@pytest.mark.parametrize(("labels", "reason"), [("Edema", "no positives"), ("Hernia,Edema", "Hernia (no positives)")])
def test_a_run_without_any_finding_to_learn_stops_before_images_are_prepared(
    labels: str,
    reason: str,
    run: Run,
    make_nih: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make_nih(tmp_path / "nih")
    move_hernia_to_the_test_images(root)
    code, _ = run(*SMALL, f"data.root={root}", f"data.labels=[{labels}]")
    assert code == 1
    error = capsys.readouterr().err
    assert "Expected a finding with positives and negatives among the" in error
    assert reason in error
    assert not list(tmp_path.glob("cache/images/*"))
