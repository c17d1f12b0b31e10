"""A finding that the training images cannot teach is named before training, and n/a wherever a number is shown."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning import load_model
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.cli.main import main
from cxr_lightning.inference.predictions_file import read_predictions
from tests.conftest import SMALL, Run, summary_of

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


def cxr(*arguments: str) -> int:
    return main(list(arguments))


def test_it_is_named_trained_without_and_undefined_everywhere(
    run: Run,
    make_nih: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make_nih(tmp_path / "nih")
    move_hernia_to_the_test_images(root)
    code, folder = run(*SMALL, f"data.root={root}", LABELS, "trainer.max_epochs=1")
    assert code == 0
    log = (folder / "train.log").read_text()
    assert "lack positives or negatives: Hernia (no positives), Edema (no positives)" in log
    assert "findings of fewer than 10 training patients: Effusion (" in log
    summary = summary_of(folder)
    assert summary["test"]["auroc"]["Hernia"] is None  # although the test images have both
    assert summary["test"]["defined_labels"] == 2
    table = capsys.readouterr().out
    assert "mean of 2 labels" in table

    checkpoint, image = str(folder / "checkpoints/best.ckpt"), str(root / "images/00000016_001.png")
    exported = [str(tmp_path / name) for name in ("model.onnx", "model.safetensors")]
    for path in exported:
        assert cxr("export", checkpoint, path) == 0
    for model in (checkpoint, *exported):
        (result,) = load_model(model).predict(image)
        assert [label for label, value in result.probabilities.items() if np.isnan(value)] == ["Hernia", "Edema"]
        findings = {finding["label"]: finding for finding in json.loads(json.dumps(result.to_json()))["findings"]}
        assert (findings["Hernia"]["probability"], findings["Hernia"]["above"]) == (None, None)
    capsys.readouterr()
    out = tmp_path / "out"
    assert cxr("predict", image, "--model", checkpoint, "--out", str(out), "--gradcam") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "Hernia" in line]
    assert line.split()[1:3] == ["n/a", "n/a"]
    (row,) = csv.DictReader((out / "results.csv").open())
    assert row["prob_Hernia"] == row["above_Hernia"] == ""
    assert not list(out.glob("heatmaps/*Hernia*"))
    assert list(out.glob("heatmaps/*.png"))
    assert cxr("explain", image, "--model", checkpoint, "--labels", "Hernia", "--out", str(tmp_path / "maps")) == 1
    assert "was trained on but got ['Hernia']" in capsys.readouterr().err

    def evaluate(*overrides: str) -> Path:
        GlobalHydra.instance().clear()
        paths = [f"paths.log_dir={tmp_path / 'logs'}", f"paths.cache_dir={tmp_path / 'cache'}"]
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *paths, "replicates=2", *overrides])
        run_evaluate()
        return max((tmp_path / "logs/evaluate/runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)

    drawn = ["gradcam.top=2", "gradcam.sanity=0", "accelerator=cpu", "progress_bar=false"]
    report = evaluate(f"ckpt={checkpoint}", f"save_calibrated={tmp_path}/calibrated.ckpt", *drawn)
    metrics = json.loads((report / "metrics.json").read_text())
    hernia = metrics["labels"]["Hernia"]
    assert hernia["positives"] == 4
    assert (hernia["auroc"]["value"], hernia["brier"], hernia["operating_points"]) == (None, None, {})
    assert metrics["macro"]["brier"]["defined_labels"] == metrics["macro"]["auroc"]["defined_labels"] == 2
    assert any("so not trained, n/a" in warning and "Hernia, Edema" in warning for warning in metrics["warnings"])
    assert metrics["model"]["untrained_labels"] == ["Hernia", "Edema"]
    assert read_predictions(report / "predictions.csv").undefined_labels == ("Hernia", "Edema")
    assert metrics["explanation"]["localisation"] == []  # although there is a box
    assert not list(report.glob("gradcam/*Hernia*"))
    assert np.isnan(load_model(tmp_path / "calibrated.ckpt").predict(image)[0].findings[1].calibrated)

    again = evaluate(
        f"predictions={report}/predictions.csv", "data=nih", f"data.root={root}", LABELS, "data.val_fraction=0.3"
    )
    rescored = json.loads((again / "metrics.json").read_text())
    assert rescored["labels"]["Hernia"]["auroc"] == hernia["auroc"]
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
