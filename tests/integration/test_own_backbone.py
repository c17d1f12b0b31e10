"""A backbone of one's own through the commands, as a user types them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.cli import main
from tests.conftest import Run, assert_one_error_line
from tests.own_backbones import PACKAGE, TINY, own_package

__all__ = ["own_package"]


def test_it_is_trained_explained_exported_and_used_as_weights(
    run: Run,
    small: list[str],
    own_package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = [*small, f"model.backbone={TINY}", "+model.variations.width=6", "trainer.max_epochs=1"]
    code, folder = run(*settings, "test=false")
    assert code == 0
    checkpoint = folder / "checkpoints" / "best.ckpt"
    trained = load_classifier(str(checkpoint)).network.backbone.state_dict()
    assert len(trained["features.0.weight"]) == 6

    (root,) = (setting.removeprefix("data.root=") for setting in small if setting.startswith("data.root="))
    image = next(Path(root).glob("images/*.png"))
    exported, out = tmp_path / "x.safetensors", tmp_path / "out"
    assert main(["export", str(checkpoint), str(exported)]) == 0
    tensors = load_file(exported)
    assert all(torch.equal(tensors[f"network.backbone.{name}"], tensor) for name, tensor in trained.items())
    assert main(["check", str(exported), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert main(["predict", str(image), "--model", str(exported), "--device", "cpu", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 14
    assert main(["explain", str(image), "--model", str(checkpoint), "--out", str(out), "--labels", "Mass"]) == 0
    assert list(out.rglob("*.png"))
    explain = ["explain", str(image), "--model", str(checkpoint), "--target-layer", "pre_relu"]
    assert main([*explain, "--out", str(tmp_path / "pre_relu")]) == 1
    assert f"pre_relu but got {TINY}. Use post_relu." in capsys.readouterr().err

    code, second = run(
        *settings, f"model.weights={checkpoint}", "model.freeze_backbone=true", "data.labels=[Mass,Edema]"
    )
    assert code == 0
    fine_tuned = load_classifier(str(second / "checkpoints" / "best.ckpt")).network.backbone.state_dict()
    assert len(fine_tuned["head.2.bias"]) == 2
    assert all(torch.equal(tensor, trained[name]) for name, tensor in fine_tuned.items() if "features" in name)

    monkeypatch.delenv("CXR_PLUGINS")
    capsys.readouterr()
    for model in (checkpoint, exported):
        assert main(["predict", str(image), "--model", str(model)]) == 1
        assert_one_error_line(*capsys.readouterr(), [f"'{model}'", f"'{TINY}'", f"CXR_PLUGINS={PACKAGE}"])


def test_what_cannot_be_used_is_said_before_data_is_read(
    run: Run, own_package: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, words in {
        "os.path.join": ("a trusted package in `model.backbone`", "CXR_PLUGINS=my_package"),
        f"{own_package}.absent.tiny": (f"trusted package's module '{own_package}.absent'",),
        f"{own_package}.backbones.absent": ("has no 'absent'",),
        "vgg16": ("one of ['densenet121'",),
    }.items():
        assert run("data=nih", f"data.root={tmp_path}", f"model.backbone={name}")[0] == 1
        assert_one_error_line(*capsys.readouterr(), words)
