"""ONNX files in int8: written where they lose little AUROC on labeled images, and refused with the table elsewhere."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.metrics.calibration import Calibrator
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import PostProcessing

LABELS = ("Effusion", "Mass", "Hernia")
SIZE, PATIENTS, TEST_PATIENTS = 32, 40, 30
HUGE = 1000.0
"""A weight beside which those of a trained network, below 1, are rounded to zero in int8."""


def small_model() -> ChestXRayClassifier:
    """A network in which the first channel before every convolution but the first is zero."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = ChestXRayClassifier(LABELS, backbone="densenet_micro", image_size=SIZE).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.zeros_(layer.weight[:1])
            nn.init.constant_(layer.bias[:1], -1.0)
    fitted = PostProcessing("20 images", {"Effusion": Calibrator("platt", 2.0, -0.5)}, {}, {"Effusion": 5})
    model.metadata["fitted"] = fitted.to_metadata()
    return model


def model_with_outliers() -> ChestXRayClassifier:
    """A network of the same probabilities, with huge weights for the channels that are zero."""
    model = small_model()
    first, *others = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == 3
    for layer in others:
        nn.init.constant_(layer.weight[:, :1], HUGE)
    return model


def draw_images() -> NDArray[np.uint8]:
    """Two images of each patient, of many brightnesses and gradients."""
    generator = np.random.default_rng(5)
    ramp = np.linspace(-1, 1, SIZE)
    slopes, levels = generator.uniform(-60, 60, (2 * PATIENTS, 2)), generator.uniform(70, 180, 2 * PATIENTS)
    images = [level + a * ramp[:, None] + b * ramp for (a, b), level in zip(slopes, levels, strict=True)]
    return np.clip(np.stack(images) + generator.normal(0, 5, (2 * PATIENTS, SIZE, SIZE)), 0, 255).astype(np.uint8)


def run(path: Path, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What onnxruntime itself computes with a file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images[:, None]}), strict=True))


def record_of(path: Path) -> Any:
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "cxr_lightning"
    return json.loads(entry.value)["record"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models, the file in float32, and labels that the float32 network ranks without an error; none of Hernia."""
    root = tmp_path_factory.mktemp("int8")
    save_classifier(small_model(), root / "small.ckpt")
    save_classifier(model_with_outliers(), root / "outliers.ckpt")
    export_onnx(small_model(), root / "float32.onnx")
    images = draw_images()
    scores = run(root / "float32.onnx", images)["raw_probabilities"]
    with (root / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "patient_id", "split", *LABELS])
        ranks = scores.argsort(axis=0).argsort(axis=0) / len(images)
        for number, (pixels, rank) in enumerate(zip(images, ranks, strict=True)):
            Image.fromarray(pixels).save(root / f"{number}.png")
            cells = ["" if 0.4 < value < 0.6 else int(value > 0.5) for value in rank[:2]]
            patient = number // 2
            writer.writerow([f"{number}.png", f"P{patient}", "test" if patient < TEST_PATIENTS else "train", *cells, 0])
    return root


@pytest.fixture(scope="module")
def int8_file(folder: Path) -> Path:
    arguments = ["export", str(folder / "small.ckpt"), str(folder / "int8.onnx"), "--int8"]
    assert main([*arguments, "--check-on", str(folder / "labels.csv")]) == 0
    return folder / "int8.onnx"


def test_a_model_that_loses_little_is_written(int8_file: Path, folder: Path, tmp_path: Path) -> None:
    arguments = ["predict", str(folder / "0.png"), "--model", str(int8_file), "--out", str(tmp_path / "o")]
    assert main(arguments) == 0  # it passes the check of files of other people
    before, after = run(folder / "float32.onnx", draw_images()), run(int8_file, draw_images())
    assert list(before) == list(after) == ["probabilities", "raw_probabilities", "activation_maps"]
    difference = np.abs(before["raw_probabilities"] - after["raw_probabilities"]).max()
    assert 0 < difference < 0.02
    raw = after["raw_probabilities"][:, 0]
    calibrated = 1 / (1 + np.exp(-(2.0 * np.log(raw / (1 - raw)) - 0.5)))  # the calibrator as it was fitted
    np.testing.assert_allclose(after["probabilities"][:, 0], calibrated, atol=1e-5)


def test_the_record_has_the_auroc_that_sklearn_computes_from_both_files(int8_file: Path, folder: Path) -> None:
    record = record_of(int8_file)["quantization"]
    with (folder / "labels.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    assert (record["checked"]["images"], record["checked"]["patients"]) == (2 * TEST_PATIENTS, TEST_PATIENTS)
    assert record["calibration_images"] == 2 * (PATIENTS - TEST_PATIENTS)
    images = draw_images()[: 2 * TEST_PATIENTS]
    scores = {"float32": run(folder / "float32.onnx", images), "int8": run(int8_file, images)}
    losses = []
    for column, label in enumerate(LABELS[:2]):
        known = [number for number, row in enumerate(rows) if row[label]]
        truth = [int(rows[number][label]) for number in known]
        auroc = {
            name: roc_auc_score(truth, outputs["raw_probabilities"][known, column]) for name, outputs in scores.items()
        }
        for name, value in auroc.items():
            assert record["auroc"][label][name] == pytest.approx(value, abs=1e-12)
        losses.append(auroc["float32"] - auroc["int8"])
        assert record["auroc"][label]["loss"] == pytest.approx(losses[-1], abs=1e-12)
    assert record["mean"]["loss"] == pytest.approx(np.mean(losses), abs=1e-12)
    assert set(record["auroc"]["Hernia"].values()) == {None}  # no positives


def test_only_convolutions_after_the_first_are_in_int8_and_their_weights_have_7_bits(int8_file: Path) -> None:
    graph = onnx.load(int8_file).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    first, *others = (node for node in graph.node if node.op_type == "Conv")
    assert tensors[first.input[1]].dtype == np.float32
    assert len(others) == record_of(int8_file)["quantization"]["convolutions"] > 10
    for node in others:
        weights = tensors[makers[node.input[1]].input[0]]
        assert weights.dtype == np.int8
        # Two products of a uint8 and such a weight fit into int16, in which processors without VNNI add them.
        assert 2 * 255 * int(np.abs(weights.astype(int)).max()) < 2**15


def test_a_model_that_int8_hurts_is_refused_with_the_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_onnx(model_with_outliers(), tmp_path / "float32.onnx")
    plain, outliers = (run(path / "float32.onnx", draw_images())["raw_probabilities"] for path in (folder, tmp_path))
    np.testing.assert_allclose(outliers, plain, atol=1e-6)  # in float32 the outliers change nothing
    out = tmp_path / "out" / "int8.onnx"
    arguments = ["export", str(folder / "outliers.ckpt"), str(out), "--int8"]
    assert main([*arguments, "--check-on", str(folder / "labels.csv")]) == 1
    said = capsys.readouterr()
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["float32.onnx"]
    (error,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert "Effusion loses 0." in error
    assert "the mean loses 0." in error
    assert "Nothing is written" in error
    rows = {line.split()[0]: line.split() for line in said.out.splitlines() if line.strip()}
    assert rows["Effusion"][1] == "1.0000"
    assert float(rows["Effusion"][2]) < 0.9
    assert rows["Hernia"][1:3] == ["n/a", "n/a"]


def test_more_loss_can_be_accepted_for_a_finding_but_not_for_the_mean(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(folder / "outliers.ckpt"), str(tmp_path / "x.onnx"), "--int8"]
    assert main([*arguments, "--check-on", str(folder / "labels.csv"), "--max-loss", "0.1"]) == 1
    assert "the mean loses" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["x.onnx", "--int8"], "Expected --check-on with --int8"),
        (["x.safetensors", "--int8", "--check-on", "labels.csv"], "to end in .onnx with --int8"),
        (["x.onnx", "--check-on", "labels.csv"], "Expected --int8 beside --check-on"),
        (["x.onnx", "--max-loss", "0.01"], "Expected --int8 beside --max-loss"),
        (["x.onnx", "--int8", "--check-on", "labels.csv", "--max-loss", "0.5"], "--max-loss in [0, 0.1] but got 0.5"),
        (["x.onnx", "--int8", "--check-on", "labels.csv", "--max-loss", "-1"], "--max-loss in [0, 0.1] but got -1"),
        (["x.onnx", "--int8", "--check-on", "labels.csv", "--max-loss", "nan"], "--max-loss in [0, 0.1] but got nan"),
        (["x.onnx", "--int8", "--check-on", "gone.csv"], "Expected a CSV at"),
        (["x.onnx", "--int8", "--check-on", "gone"], "data set's folder or a CSV"),
        (["x.onnx", "--int8", "--check-on", "few.csv"], "at least 10 positives and 10 negatives"),
        (["x.onnx", "--int8", "--check-on", "labels.csv", "--image-column", "path"], "--image-column"),
        (["small.ckpt", "--int8", "--check-on", "labels.csv"], "to end in .onnx"),
        (["labels.onnx", "--int8", "--check-on", "labels.csv"], "exists already"),
    ],
)
def test_wrong_options_are_told_in_words(
    options: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    lines = Path("labels.csv").read_text().splitlines(keepends=True)
    Path("few.csv").write_text("".join([lines[0], *lines[50:76]]))
    Path("labels.onnx").touch()
    before = {path.name for path in folder.iterdir()}
    assert main(["export", "small.ckpt", *options]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert {path.name for path in folder.iterdir()} == before
