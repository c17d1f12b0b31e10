"""Checkpoints that are none, and probabilities that do not depend on the batches."""

from pathlib import Path

import pytest
import torch

from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.checkpoints.load import as_classifier, load_classifier
from cxr_lightning.checkpoints.read import load_trained_model, read_checkpoint
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.losses.bce import MultilabelBCE
from cxr_lightning.models.classifier import ChestXRayClassifier


def test_a_foreign_checkpoint_is_refused_with_the_remedy(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"checkpoint of cxr_lightning in '.*x\.ckpt'.*model\.weights"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04cos\nsystem\n."])
def test_a_damaged_checkpoint_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"'.*x\.ckpt' but it cannot be loaded safely"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("hyper_parameters", {"attention_heads": 3}, "`attention_heads` is 3"),
        ("hyper_parameters", {"weights": "imagenet"}, "`weights` is 'imagenet'"),
        ("hyper_parameters", {"backbone": "vgg"}, "a model of this version .* but it cannot be built .*'vgg'"),
        ("state_dict", {"stranger": torch.ones(1)}, "a model of this version .* but it cannot be built .*stranger"),
    ],
)
def test_a_checkpoint_of_another_version_is_one_error(
    part: str, change: dict[str, object], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.ckpt"
    save_classifier(ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=32), path)
    content = torch.load(path, weights_only=True)
    content[part] = {**content[part], **change}
    torch.save(content, path)
    with pytest.raises(ValueError, match=words) as error:
        load_classifier(str(path))
    assert "x.ckpt" in str(error.value)


def test_a_checkpoint_without_settings_is_one_error_for_every_use(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    save_classifier(ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=32), path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "hyper_parameters": {"labels": ["Mass"]}}, path)
    message = "in them, `image_size` is missing, `interpolation` is missing, `preprocessing` is missing"
    with pytest.raises(ValueError, match=message):
        load_classifier(str(path))
    with pytest.raises(ValueError, match=message):
        read_initial_weights(str(path), "densenet_micro", ["Mass"])


def test_a_loaded_model_is_the_same_lightning_module_as_the_classifier_of_its_file(tmp_path: Path) -> None:
    loss = MultilabelBCE(2, weights=(torch.tensor([7.0, 1.0]), torch.tensor([1.0, 3.0])))
    saved = ChestXRayClassifier(
        ["Mass", "Edema"], backbone="densenet_micro", image_size=32, loss=loss, freeze_backbone=True
    )
    save_classifier(saved.eval(), tmp_path / "x.ckpt")
    expected = load_classifier(str(tmp_path / "x.ckpt"))
    found = as_classifier(load_trained_model(str(tmp_path / "x.ckpt")))
    assert found.state_dict().keys() == expected.state_dict().keys()
    tensors = {name: value for name, value in expected.state_dict().items() if isinstance(value, torch.Tensor)}
    assert "loss.positive_weights" in tensors
    assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in tensors.items())
    trainable = [name for name, parameter in expected.named_parameters() if parameter.requires_grad]
    assert [name for name, parameter in found.named_parameters() if parameter.requires_grad] == trainable
    assert len(trainable) == 2
    assert not found.training
