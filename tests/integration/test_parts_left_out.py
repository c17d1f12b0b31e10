"""Trainings without some of their parts, and without data that a limit leaves: they work, or are refused in time."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from tests.conftest import Run, assert_one_error_line, history_of, summary_of
from tests.slow_cases import one_in

WITHOUT = {
    "callbacks=none trainer.enable_progress_bar=false": [],
    "~callbacks ~logger": [],
    "callbacks=minimal": ["best.ckpt", "last.ckpt"],
    "callbacks=default trainer.enable_progress_bar=false trainer.enable_checkpointing=false": [],
    "callbacks.model_checkpoint=null logger=csv": ["last.ckpt"],
    "~callbacks.last_checkpoint trainer.limit_val_batches=0 monitor.name=train/loss": ["best.ckpt"],
}
"""Settings of a run without some parts, and the checkpoints that it leaves."""


@pytest.fixture
def one_epoch(small: list[str]) -> list[str]:
    """The smallest training, whose data's folder is given as ``root``."""
    *settings, root = [text for text in small if not text.startswith(("logger", "callbacks"))]
    return [*settings, root.removeprefix("data."), "trainer.max_epochs=1", "trainer.limit_train_batches=2"]


@pytest.mark.parametrize("overrides", one_in(2, WITHOUT))
def test_a_run_without_a_part_is_trained_and_tested(run: Run, one_epoch: list[str], overrides: str) -> None:
    code, folder = run(*one_epoch, *overrides.split())
    assert code == 0
    assert len(history_of(folder)) == 1
    summary = summary_of(folder)
    assert summary["test"] is not None
    assert summary["monitor"]["mode"] == ("min" if "train/loss" in overrides else "max")
    assert sorted(path.name for path in folder.rglob("*.ckpt")) == WITHOUT[overrides]
    assert (summary["best_checkpoint"] is None) == (not WITHOUT[overrides])
    assert not list(folder.rglob("lightning_logs"))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_fraction_that_leaves_no_batch_is_refused_before_training(
    run: Run, one_epoch: list[str], split: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = run(*one_epoch, "callbacks=minimal", "logger=none", f"trainer.limit_{split}_batches=0.01")
    assert code == 1
    output = capsys.readouterr()
    assert f"one batch of {split} images but 'trainer.limit_{split}_batches=0.01'" in output.err
    assert not (folder / "history.csv").exists()


def unreadable(path: Path) -> None:
    path.write_bytes(b"no weights")


def of_another_network(path: Path) -> None:
    torch.save(torchvision.models.get_model("resnet18").state_dict(), path)


@pytest.mark.parametrize("write", [None, unreadable, of_another_network])
def test_weights_that_cannot_be_used_are_refused_before_data_is_made(
    run: Run, tmp_path: Path, write: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    if callable(write):
        write(path)
    assert run("model=densenet_micro", f"model.weights={path}")[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, [str(path)])
    assert not (tmp_path / "cache").exists()


def test_imagenet_weights_that_cannot_be_downloaded_are_refused_before_data_is_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no such host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    assert run("model=resnet50", "model.weights=imagenet", "optimizer.lr=1")[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, ["no such host", "model.weights=null", "download.pytorch.org"])
    assert not (tmp_path / "cache").exists()


def test_two_folders_of_the_data_are_refused_in_both_programs(
    run: Run, evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data=nih", "root=a", "data.root=b")[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, ["root=a and data.root=b"])
    for data in ([], ["data=nih"]):
        assert evaluate("ckpt=x.ckpt", *data, "root=a", "data.root=b")[0] == 1
        output = capsys.readouterr()
        assert_one_error_line(output.out, output.err, ["root=a", "root=b"])


def test_the_folder_of_the_data_has_two_names_in_both_programs(
    run: Run, evaluate: Run, one_epoch: list[str], make_nih: Callable[..., Path], tmp_path: Path
) -> None:
    code, folder = run(*one_epoch, "callbacks=minimal", "logger=none", "test=false")
    assert code == 0
    checkpoint, root = f"ckpt={folder}/checkpoints/best.ckpt", make_nih(tmp_path / "other", patients=20)
    scores = []
    for name in ("root", "data.root"):
        code, report = evaluate(checkpoint, f"{name}={root}", "data=nih")
        assert code == 0
        scores.append(json.loads((report / "metrics.json").read_text())["labels"])
    assert scores[0] == scores[1]
    assert scores[0]["Effusion"]["positives"] == 5  # one of each test patient's images; the set of the training has 4
