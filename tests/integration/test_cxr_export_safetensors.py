"""Exported safetensors files: as good as the checkpoint everywhere, and nothing else is taken for one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cxr_lightning.checkpoints.foreign.reader import is_foreign_file, read_foreign_weights
from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.checkpoints.installation_check import attach_reference, difference_from_reference
from cxr_lightning.checkpoints.load import load_classifier as load_classifier
from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.checkpoints.safetensors import write_safetensors
from cxr_lightning.checkpoints.save import save_classifier, save_with_postprocessing
from cxr_lightning.cli.main import main
from cxr_lightning.inference.predictor import load_model
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import PostProcessing
from tests.model_files import LABELS, film, films, model_file

__all__ = ["film", "films", "model_file"]


@pytest.fixture(scope="session")
def exported(model_file: Path) -> Path:
    """The model with a reference image."""
    classifier = load_classifier(str(model_file))
    attach_reference(classifier)
    path = model_file.with_name("model.safetensors")
    write_safetensors(classifier, path)
    return path


def content_of(path: Path) -> tuple[dict[str, str], dict[str, list[float]]]:
    with safe_open(path, framework="numpy") as file:
        return file.metadata(), {name: file.get_tensor(name).tolist() for name in file.keys()}  # noqa: SIM118


def test_it_predicts_as_the_checkpoint_does(model_file: Path, exported: Path, films: list[Path]) -> None:
    ours, theirs = (load_model(path, device="cpu") for path in (model_file, exported))
    assert ours.predict(films[:4]) == theirs.predict(films[:4])
    assert ours.backend.metadata == {**theirs.backend.metadata, "labels": list(LABELS)}
    assert difference_from_reference(theirs.classifier) < 1e-6


def test_any_program_can_read_it(exported: Path, model_file: Path) -> None:
    with safe_open(exported, framework="numpy") as file:
        metadata = file.metadata()
        head = file.get_tensor("network.backbone.classifier.bias")
    about = json.loads(metadata["cxr_lightning"])
    assert about["labels"] == list(LABELS)
    assert about["not_for_clinical_use"] is True
    assert len(json.loads(metadata["reference_probabilities"])) == len(LABELS)
    assert (head == read_checkpoint(str(model_file))["state_dict"]["network.backbone.classifier.bias"].numpy()).all()


def test_commands_take_it_like_a_checkpoint(
    model_file: Path, exported: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not is_foreign_file(str(exported))
    assert main(["export", str(exported), str(tmp_path / "again.safetensors")]) == 0
    assert "largest difference 0.0e+00" in capsys.readouterr().out
    for once, again in zip(*(content_of(path) for path in (exported, tmp_path / "again.safetensors")), strict=True):
        assert once == again
    assert main(["check", str(tmp_path / "again.safetensors"), "--device", "cpu"]) == 0
    assert main(["explain", str(films[0]), "--model", str(exported), "--out", str(tmp_path), "--labels", "Mass"]) == 0
    initial = read_initial_weights(str(exported), "densenet_micro", LABELS)
    state = read_checkpoint(str(model_file))["state_dict"]
    assert all(torch.equal(tensor, state[f"network.backbone.{name}"]) for name, tensor in initial.state.items())
    fitted = PostProcessing("30 images", {}, {}, {"Mass": 4}).to_metadata()
    save_with_postprocessing(str(exported), tmp_path / "x.ckpt", fitted)
    assert load_classifier(str(tmp_path / "x.ckpt")).metadata["fitted"] == fitted


def test_a_broken_installation_does_not_vouch_for_itself(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = load_classifier(str(exported))
    save_classifier(classifier, tmp_path / "good.ckpt")
    content = torch.load(tmp_path / "good.ckpt", weights_only=True)
    content["state_dict"]["network.backbone.classifier.bias"] += 0.05
    torch.save(content, tmp_path / "x.ckpt")
    for name in ("y.safetensors", "y.onnx"):
        assert main(["export", str(tmp_path / "x.ckpt"), str(tmp_path / name)]) == 1
        assert "do not use this installation" in capsys.readouterr().err
        assert not (tmp_path / name).exists()
    write_safetensors(load_classifier(str(tmp_path / "x.ckpt")), tmp_path / "y.safetensors")
    assert main(["check", str(tmp_path / "y.safetensors"), "--device", "cpu"]) == 1


def test_models_without_a_stored_pair_are_exported_too(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ChestXRayClassifier(["A", "B"]).network.backbone.state_dict()
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, tmp_path / "foreign.safetensors", metadata={"labels": '["A", "B"]'})
    for model, name in ((model_file, "a.safetensors"), (tmp_path / "foreign.safetensors", "b.safetensors")):
        assert main(["export", str(model), str(tmp_path / name)]) == 0
    assert "reference image, of the file read again" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "b.safetensors"), "--device", "cpu"]) == 0


def test_what_is_not_known_is_not_a_number_again(
    exported: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = load_classifier(str(exported))
    classifier.metadata["prevalence"] = {"Mass": float("nan")}
    write_safetensors(classifier, tmp_path / "x.safetensors")
    assert main(["predict", str(films[0]), "--model", str(tmp_path / "x.safetensors"), "--device", "cpu"]) == 0
    assert "n/a" in capsys.readouterr().out


def test_what_is_there_is_kept(model_file: Path, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = exported.read_bytes()
    assert main(["export", str(model_file), str(exported)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert exported.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "1 tensors are missing or not its own"),
        ("shape", r"is \(2,\), not \(3,\)"),
        ("nan", "not numbers"),
        ("settings", r"`hyper_parameters\.speed` is 9 .extra inputs are not permitted"),
        ("weights", r"`hyper_parameters\.weights` is None .extra inputs are not permitted"),
        ("text", "JSONDecodeError"),
        ("list", r"in its description, it is \[\] \(input should be a valid dictionary"),
        ("record", r"`record` is None"),
        ("prevalence", r"`record\.prevalence\.Mass` is 'x' \(input should be a valid number"),
        ("versions", r"`record\.versions` is None"),
        ("labels", "more than once"),
        ("image_size", "`image_size` is 100000"),
        ("probabilities", "`cxr_lightning_reference.probabilities"),
        ("picture", "its reference image is"),
    ],
)
def test_a_changed_file_is_refused_and_not_taken_for_a_foreign_one(
    change: str, words: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(exported)
    with safe_open(exported, framework="pt") as file:
        metadata = dict(file.metadata())
    about = json.loads(metadata["cxr_lightning"])
    name = "network.backbone.classifier.bias"
    if change == "missing":
        del tensors[name]
    elif change == "shape":
        tensors[name] = tensors[name][:2].clone()
    elif change == "nan":
        tensors[name] = tensors[name] * float("nan")
    elif change == "settings":
        about["hyper_parameters"]["speed"] = 9
    elif change == "weights":
        about["hyper_parameters"]["weights"] = None
    elif change == "record":
        about["record"] = None
    elif change == "prevalence":
        about["record"]["prevalence"] = {"Mass": "x"}
    elif change == "versions":
        about["record"]["versions"] = None
    elif change == "labels":
        about["labels"] = ["Mass", "Mass", "Hernia"]
    elif change == "image_size":
        about["image_size"] = 100_000
    elif change == "probabilities":
        metadata["reference_probabilities"] = '["a"]'
    elif change == "picture":
        tensors["reference.image"] = tensors["reference.image"][:, :5].contiguous()
    metadata["cxr_lightning"] = {"text": "{", "list": "[]"}.get(change, json.dumps(about))
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ValueError, match=words):
        read_checkpoint(str(path))
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().err.count("error: Expected ") == 1
    with pytest.raises(ValueError, match="`cxr export` wrote it"):
        read_foreign_weights(path)
