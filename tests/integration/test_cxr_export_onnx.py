"""ONNX files: the same numbers as torch, run without torch, and what they carry."""

import builtins
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cxr_lightning.checkpoints import onnx as export
from cxr_lightning.checkpoints.load import load_classifier as load_classifier
from cxr_lightning.checkpoints.metadata import describe_model
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.imaging.reader import read_gray
from cxr_lightning.inference.predictor import load_model
from cxr_lightning.metrics.calibration import Calibrator
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.network import Network
from cxr_lightning.models.postprocess import PostProcessing
from tests.model_files import LABELS, film, films, model_file

__all__ = ["film", "films", "model_file"]


@pytest.fixture(scope="session")
def onnx_file(model_file: Path) -> Path:
    path = model_file.with_name("model.onnx")
    differences = export_onnx(load_classifier(str(model_file)), path)
    assert set(differences) == {"probabilities", "raw_probabilities", "activation_maps"}
    assert max(differences.values()) < 1e-5
    return path


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_onnx_equals_torch(batch: int, model_file: Path, onnx_file: Path) -> None:
    images = np.random.default_rng(batch).integers(0, 256, (batch, 1, 64, 64), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    calibrated, raw, maps = session.run(["probabilities", "raw_probabilities", "activation_maps"], {"images": images})
    classifier: Any = load_classifier(str(model_file))
    with torch.no_grad():
        logits = classifier(torch.from_numpy(images))
        expected = logits.sigmoid().numpy()
        pooled = torch.from_numpy(maps).mean(dim=(2, 3)) + classifier.network.head_layer.bias
    np.testing.assert_allclose(raw, expected, atol=1e-5)
    np.testing.assert_allclose(pooled, logits, atol=1e-5)  # global average pooling and a linear layer change places
    fitted = load_model(model_file, device="cpu").postprocessing
    assert fitted is not None
    np.testing.assert_allclose(calibrated, fitted.calibrate(LABELS, expected.astype(float)), atol=1e-5)


def test_predicting_with_either_file_is_the_same(model_file: Path, onnx_file: Path, films: list[Path]) -> None:
    ours = load_model(model_file, device="cpu").predict(films[:10])
    theirs = load_model(onnx_file).predict(films[:10])
    for one, other in zip(ours, theirs, strict=True):
        for finding, exported in zip(one.findings, other.findings, strict=True):
            assert finding.probability == pytest.approx(exported.probability, abs=1e-5)
            assert finding.calibrated == pytest.approx(exported.calibrated, abs=1e-5)
            assert (finding.label, finding.above) == (exported.label, exported.above)
            assert finding.prevalence == pytest.approx(exported.prevalence, nan_ok=True)


def test_the_file_says_what_it_is(onnx_file: Path) -> None:
    (entry,) = [entry for entry in onnx.load(onnx_file).metadata_props if entry.key == "cxr_lightning"]
    about = json.loads(entry.value)
    assert about["labels"] == list(LABELS)
    assert about["not_for_clinical_use"] is True
    assert about["record"]["fitted"]["operating_points"]["Effusion"]["youden"] == 0.0
    assert about["record"]["prevalence"]["Effusion"] == 0.25


def test_a_network_without_a_linear_head_has_no_maps(tmp_path: Path) -> None:
    assert not export.ExportedNetwork(Network("convnext_tiny", 1), [Calibrator()]).has_maps


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_not_kept(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ONNX_TOLERANCE", -1.0)
    with pytest.raises(ValueError, match="Nothing is written"):
        export_onnx(load_classifier(str(model_file)), tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_without_numbers_is_not_kept(model_file: Path, tmp_path: Path) -> None:
    classifier = load_classifier(str(model_file))
    with torch.no_grad():
        dict(classifier.named_parameters())["network.backbone.classifier.bias"].fill_(math.nan)
    with pytest.raises(ValueError, match=r"differ by nan\. Nothing"):
        export_onnx(classifier, tmp_path / "x.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    "logit",
    [*(pytest.param(logit, marks=pytest.mark.slow) for logit in (15.0, 16.0, 17.0, 25.0)), -20.0],
)
def test_calibrated_probabilities_agree_where_raw_ones_are_nearly_0_or_1(
    logit: float, films: list[Path], tmp_path: Path
) -> None:
    classifier = ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=64).eval()
    with torch.no_grad():
        head = classifier.network.head_layer
        for parameter in head.parameters():
            parameter.fill_(logit if parameter.ndim == 1 else 0.0)
    classifier.metadata["fitted"] = PostProcessing(
        "x", {"Mass": Calibrator("platt", 0.3, 0.1)}, {"Mass": {}}, {"Mass": 9}
    ).to_metadata()
    save_classifier(classifier, tmp_path / "x.ckpt")
    export_onnx(load_classifier(str(tmp_path / "x.ckpt")), tmp_path / "x.onnx")
    for name in ("x.ckpt", "x.onnx"):
        (finding,) = load_model(tmp_path / name, device="cpu").predict(films[0])[0].findings
        assert finding.calibrated == pytest.approx(1 / (1 + math.exp(-(0.3 * logit + 0.1))), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("labels", ["Effusion"]),
        ("image_size", 32),
        ("interpolation", "foo"),
        ("record", None),
        ("record", {"prevalence": None}),
        ("record", {"fitted": {"calibration": {"Mass": {"method": "platt", "slope": "x", "intercept": 0}}}}),
    ],
)
def test_a_changed_file_is_refused(
    change: str, value: Any, onnx_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = onnx.load(onnx_file)
    (entry,) = [entry for entry in program.metadata_props if entry.key == "cxr_lightning"]
    entry.value = json.dumps(json.loads(entry.value) | {change: value})
    onnx.save(program, tmp_path / "x.onnx")
    assert main(["predict", str(films[0]), "--model", str(tmp_path / "x.onnx")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Expected")


def test_metadata_is_json_that_others_read(model_file: Path) -> None:
    classifier = load_classifier(str(model_file))
    classifier.metadata["prevalence"] = {"Mass": math.nan}

    def refuse(name: str) -> None:
        raise AssertionError(name)

    about = json.loads(describe_model(classifier), parse_constant=refuse)
    assert about["record"]["prevalence"] == {"Mass": None}


def test_heat_maps_of_either_file_are_the_same(model_file: Path, onnx_file: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    columns = [1, 0]
    theirs = load_model(onnx_file).backend.heatmaps(images, columns)
    ours = load_model(model_file, device="cpu").backend.heatmaps(images, columns)  # captum's
    assert ours.shape == (3, 2, 64, 64)
    assert float(ours.max()) == 1.0
    np.testing.assert_allclose(theirs, ours, atol=1e-4)  # maxima by which they are divided may be small


def test_images_in_memory_have_the_bits_of_their_files(model_file: Path, onnx_file: Path, films: list[Path]) -> None:
    model, gray = load_model(onnx_file), read_gray(films[0])
    (expected,) = model.predict(films[0])
    for source in (films[0].read_bytes(), gray, gray / 255, torch.tensor(gray)):
        is_float = isinstance(source, np.ndarray) and source.dtype.kind == "f"
        (found,) = model.predict(source, value_range=(0, 1) if is_float else None)
        assert found.probabilities == expected.probabilities
    ours = load_model(model_file, device="cpu").explain(gray, ["Mass", "Effusion"])
    for overlay, exported in zip(ours, model.explain(gray, ["Mass", "Effusion"]), strict=True):
        np.testing.assert_allclose(overlay.heatmap, exported.heatmap, atol=1e-4)
        assert overlay.label == exported.label


def test_heat_maps_are_drawn_of_an_onnx_file(
    onnx_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(films[0]), "--model", str(onnx_file), "--gradcam", "--out", str(out)]) == 0
    assert [path.suffix for path in (out / "heatmaps").iterdir()] == [".png"]
    explained = [
        "explain",
        str(films[0]),
        "--model",
        str(onnx_file),
        "--labels",
        LABELS[0],
        "--out",
        str(tmp_path / "e"),
    ]
    assert main(explained) == 0
    assert len(list((tmp_path / "e").iterdir())) == 2
    assert main([*explained[:-1], str(tmp_path / "f"), "--target-layer", "pre_relu"]) == 1
    assert "maps of that layer alone" in capsys.readouterr().err


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_maps_that_are_no_numbers_are_refused(value: float, onnx_file: Path, tmp_path: Path) -> None:
    program = onnx.load(onnx_file)
    (node,) = [node for node in program.graph.node if "activation_maps" in node.output]
    node.output[list(node.output).index("activation_maps")] = "maps"
    program.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), "spoiled"))
    program.graph.node.append(onnx.helper.make_node("Mul", ["maps", "spoiled"], ["activation_maps"]))
    onnx.save(program, tmp_path / "x.onnx")
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    with pytest.raises(ValueError, match="but got values that are not numbers"):
        load_model(tmp_path / "x.onnx").backend.heatmaps(images, [0])


HEAVY = {
    "torch",
    "torchvision",
    "pytorch_lightning",
    "lightning_fabric",
    "torchmetrics",
    "pandas",
    "matplotlib",
    "scipy",
}


def modules_loaded_by_predicting(*arguments: str) -> set[str]:
    code = (
        "import sys; from cxr_lightning.cli.main import main; "
        "assert main(sys.argv[1:]) == 0; print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "predict", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_predicting_with_onnx_imports_no_torch(onnx_file: Path, films: list[Path], tmp_path: Path) -> None:
    loaded = modules_loaded_by_predicting(str(films[0]), "--model", str(onnx_file), "--out", str(tmp_path / "out"))
    assert not loaded & (HEAVY | {"onnx", "pydicom"})


def test_predicting_with_a_checkpoint_imports_no_lightning(model_file: Path, films: list[Path]) -> None:
    loaded = modules_loaded_by_predicting(str(films[0]), "--model", str(model_file))
    assert not loaded & (HEAVY - {"torch", "torchvision"})


def test_the_commands(
    model_file: Path, onnx_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model_file), str(tmp_path / "x.onnx")]) == 0
    said = capsys.readouterr()
    assert "largest difference from torch" in said.out
    assert said.err == ""
    assert main(["predict", str(films[0]), "--model", str(tmp_path / "x.onnx"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [finding["label"] for finding in record["findings"]] == list(LABELS)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    for arguments, words in (
        (["export", str(model_file), str(tmp_path / "x.onnx")], "exists already"),
        (["export", str(model_file), str(tmp_path / "x.txt")], "to end in .onnx or .safetensors"),
        (["export", str(onnx_file), str(tmp_path / "y.onnx")], "Give the checkpoint"),
        (["check", str(onnx_file)], "Give the checkpoint"),
        (["predict", str(films[0]), "--model", str(tmp_path / "bad.onnx")], "that `cxr export` wrote"),
        (["predict", str(films[0]), "--model", str(tmp_path / "gone.onnx")], "no such file"),
        (["predict", str(films[0]), "--model", str(onnx_file), "--device", "cuda"], "without CUDA"),
        (["predict", str(films[0]), "--model", str(onnx_file), "--device", "mps"], "runs on cpu and cuda"),
        (["predict", str(films[0]), "--model", str(onnx_file), "--precision", "bf16"], "in that of its export"),
    ):
        assert main(arguments) == 1
        assert words in capsys.readouterr().err


def test_without_the_extra_the_remedy_is_named(
    model_file: Path,
    onnx_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = builtins.__import__

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("onnx"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert main(["export", str(model_file), str(tmp_path / "x.onnx")]) == 1
    assert "uv sync --extra onnx" in capsys.readouterr().err
    assert main(["predict", str(onnx_file), "--model", str(onnx_file)]) == 1
    assert "uv sync --extra onnx" in capsys.readouterr().err
