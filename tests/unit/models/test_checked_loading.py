"""Lightning's own way to load a checkpoint makes nothing that the file names, with any version of Lightning."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.models import weights
from cxr_lightning.models.classifier import ChestXRayClassifier

CALLS = [
    {"hyper_parameters": {"_instantiator": "tests.unit.models.test_checked_loading.mark"}},
    {"hyper_parameters": {"_instantiator": "pytorch_lightning.cli.instantiate_module"}},
    {"hparams_name": "labels"},
    {"hparams_type": "os.system"},
    {"datamodule_hparams_type": "os.system"},
    {"datamodule_hyper_parameters": {"_instantiator": "tests.unit.models.test_checked_loading.mark"}},
]


def mark(*_: object, **__: object) -> None:
    """What a checkpoint may not call."""
    Path("marker").touch()


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    save_classifier(ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=32), Path("x.ckpt"))
    loaded: dict[str, Any] = torch.load("x.ckpt", weights_only=True)
    return loaded


def merged(content: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return content | {
        key: {**content.get(key, {}), **value} if isinstance(value, dict) else value for key, value in change.items()
    }


@pytest.mark.parametrize("change", CALLS, ids=str)
def test_a_checkpoint_that_names_code_is_refused(content: dict[str, Any], change: dict[str, Any]) -> None:
    torch.save(merged(content, change), "x.ckpt")
    for load in (ChestXRayClassifier.load_from_checkpoint, ChestXRayDataModule.load_from_checkpoint, read_checkpoint):
        with pytest.raises(ValueError, match=r"Expected values alone in 'x\.ckpt' but it names code to run"):
            load("x.ckpt")
    assert not Path("marker").exists()


def test_imagenet_weights_in_a_checkpoint_download_nothing(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "load_initial_weights", lambda *_: mark())
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", mark)
    torch.save(merged(content, {"hyper_parameters": {"weights": "imagenet", "backbone": "densenet121"}}), "x.ckpt")
    for load in (ChestXRayClassifier.load_from_checkpoint, read_checkpoint):
        with pytest.raises(ValueError, match=r"Expected settings of a model in 'x\.ckpt' but in them, `weights`"):
            load("x.ckpt")
    assert not Path("marker").exists()


def test_pickled_code_is_refused_whatever_is_asked_for(content: dict[str, Any]) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("marker",)

    torch.save({**content, "more": Evil()}, "x.ckpt")
    with pytest.raises(ValueError, match="cannot be loaded safely"):
        ChestXRayClassifier.load_from_checkpoint("x.ckpt", weights_only=False)
    assert not Path("marker").exists()


def test_an_honest_checkpoint_is_loaded_by_lightning(content: dict[str, Any]) -> None:
    model = ChestXRayClassifier.load_from_checkpoint("x.ckpt", map_location="cpu", drop_rate=0.5)
    assert model.labels == ("Mass",)
    assert model.hparams["drop_rate"] == 0.5
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(tensor, content["state_dict"][name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [str(number) for number in range(300_000)]}, "labels"),
        ({"image_size": 10**9}, "`image_size` is 1000000000"),
        ({"image_size": 0}, "`image_size` is 0"),
        ({"drop_rate": 1.0}, "`drop_rate` is 1.0"),
        ({"batch_norm_epsilon": 0.0}, "`batch_norm_epsilon` is 0.0"),
        ({"batch_norm_epsilon": float("nan")}, "`batch_norm_epsilon` is nan"),
        ({"mean": -1.0}, "`mean` is -1.0"),
        ({"std": float("inf")}, "`std` is inf"),
        ({"backbone": "x" * 10_000}, "`backbone` is"),
        ({"preprocessing": "os.system"}, "`preprocessing` is 'os.system'"),
        ({"interpolation": 3}, "`interpolation` is 3"),
        ({"variations": [1]}, "`variations` is"),
        ({"final_relu": 1}, "`final_relu` is 1"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_every_setting_has_a_range(content: dict[str, Any], change: dict[str, Any], words: str) -> None:
    torch.save(merged(content, {"hyper_parameters": change}), "x.ckpt")
    with pytest.raises(ValueError, match=words) as error:
        read_checkpoint("x.ckpt")
    assert len(str(error.value)) < 1000
