"""The reference image of a model, and cxr check."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from cxr_lightning.checkpoints.installation_check import attach_reference, difference_from_reference
from cxr_lightning.checkpoints.load import load_classifier as load_classifier
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.imaging.reader import resize
from cxr_lightning.inference.predictor import load_model
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.reference_pair import exact_probabilities
from cxr_lightning.phantom.reference_image import reference_image
from tests.conftest import Run, assert_one_error_line


def classifier_with_reference() -> ChestXRayClassifier:
    model = ChestXRayClassifier(["Mass", "Edema"], backbone="densenet_micro", image_size=64)
    attach_reference(model)
    return model


def test_the_reference_picture_is_always_the_same() -> None:
    picture = reference_image(64, "bilinear")
    assert picture.shape == (64, 64)
    assert picture.std() > 30
    assert (picture == resize(reference_image(256, "bilinear"), 64)).all()


def test_a_saved_model_is_computed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_classifier(classifier_with_reference(), tmp_path / "x.ckpt")
    model = load_model(tmp_path / "x.ckpt", device="cpu")
    assert difference_from_reference(model.classifier) < 1e-6
    reference = model.classifier.reference
    assert reference is not None
    network = model.classifier.network
    by_hand = network.backbone(network.preprocess(reference.image[None])).sigmoid()[0].tolist()
    assert reference.probabilities == pytest.approx(by_hand, abs=1e-6)
    assert main(["check", str(tmp_path / "x.ckpt"), "--device", "cpu"]) == 0
    assert "largest difference of 2 probabilities on cpu" in capsys.readouterr().out


def test_another_computation_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ckpt"
    save_classifier(classifier_with_reference(), path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.backbone.classifier.bias"] += 0.01
    content["cxr_lightning"]["versions"]["torch"] = "1.0"
    torch.save(content, path)
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr()
    assert "within 0.0001 of those" in said.err
    assert "1.0 when it was saved" in said.out


def test_what_is_not_a_number_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ckpt"
    save_classifier(classifier_with_reference(), path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.backbone.classifier.bias"] *= float("nan")
    torch.save(content, path)
    assert main(["check", str(path), "--device", "cpu"]) == 1
    assert "not numbers. Its weights are damaged" in capsys.readouterr().err
    Image.fromarray(reference_image(64, "bilinear")).save(tmp_path / "x.png")
    assert main(["predict", str(tmp_path / "x.png"), "--model", str(path), "--device", "cpu"]) == 1
    assert "values that are not numbers" in capsys.readouterr().err


def test_a_model_without_the_pair_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_classifier(ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=64), tmp_path / "x.ckpt")
    assert main(["check", str(tmp_path / "x.ckpt")]) == 1
    assert "there are none" in capsys.readouterr().err


def test_computing_it_changes_nothing_of_a_training() -> None:
    model = classifier_with_reference().train()
    model.network.eval()  # some parts may be
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state = torch.get_rng_state()
    assert model.reference is not None
    exact_probabilities(model, model.reference.image)
    assert model.training
    assert not any(module.training for module in model.network.modules())
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_checkpoints_of_a_run_carry_it_in_float32(
    run: Run,
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CXR_LOG_DIR", str(tmp_path / "logs"))
    assert main(["check", "latest"]) == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, ["as 'latest' but there is none", "Train first"])
    code, folder = run(*small, "trainer.precision=bf16-mixed")
    assert code == 0
    for name in ("best", "last"):
        path = folder / f"checkpoints/{name}.ckpt"
        assert main(["check", str(path), "--device", "cpu"]) == 0
        assert load_classifier(str(path)).reference is not None
    assert main(["check", "latest", "--device", "cpu"]) == 0
    assert f"model: {folder}/checkpoints/best.ckpt" in capsys.readouterr().err
    assert load_model("latest", device="cpu").labels == load_classifier(str(path)).labels
