"""Signals, broken losses, full disks and dead processes end a run so that nothing is lost, with the usual status."""

import csv
import math
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping

from cxr_lightning.app.train import run_train
from cxr_lightning.checkpoints.save import write_checkpoint
from cxr_lightning.data.dataset import ChestXRayDataset
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.training.callbacks import LastCheckpoint
from cxr_lightning.utils.command_line import pasteable_override
from cxr_lightning.utils.signals import Stopped
from tests.conftest import AtBatch, Run, full_disk, newest, start, summary_of
from tests.integration.test_resume import SETTINGS, assert_same

MORE = (*SETTINGS[-3:], "trainer.max_epochs=3")
AT_EPOCHS_END = "callbacks.last_checkpoint.every_steps=null"


@pytest.fixture(scope="module")
def whole(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert start(run_train, folder, *small, *MORE, AT_EPOCHS_END) == 0
    return newest("logs/train/runs/*", folder)


@pytest.mark.parametrize(
    ("signum", "code", "epoch", "batch"),
    [
        (signal.SIGTERM, 143, 2, 3),
        (signal.SIGINT, 130, 1, 1),
        pytest.param(signal.SIGHUP, 129, 1, 3, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 138, 0, 0, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_run_that_is_then_resumed_exactly(
    run: Run,
    small: list[str],
    whole: Path,
    at_batch: AtBatch,
    signum: signal.Signals,
    code: int,
    epoch: int,
    batch: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = [*small, *MORE, AT_EPOCHS_END]
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    at_batch(lambda: os.kill(os.getpid(), signum), epoch, batch)
    ended, folder = run(*settings)
    assert ended == code
    assert not (folder / "summary.json").exists()
    assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}
    said = capsys.readouterr().err
    assert f"stopped by {signum.name}; go on with the same settings and either resume=auto" in said
    assert "Traceback" not in said
    saved = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    steps = 4 * epoch + batch + 1
    assert saved["global_step"] == (steps if batch < 3 else steps - 4)  # after an epoch's last batch it validates
    assert run(*settings, "resume=auto") == (0, folder)
    assert_same(whole, folder)


@pytest.mark.slow
def test_what_is_said_to_go_on_with_can_be_pasted(
    run: Run, small: list[str], at_batch: AtBatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / 'seed=1, it\'s [é] "two  spaces"'
    at_batch(lambda: os.kill(os.getpid(), signal.SIGINT), 0, 1)
    assert run(*small, "trainer.max_epochs=1", shlex.split(pasteable_override("hydra.run.dir", folder))[0])[0] == 130
    (override,) = shlex.split(capsys.readouterr().err.rpartition("resume=auto or ")[2])
    assert run(*small, "trainer.max_epochs=1", override)[0] == 0
    assert (folder / "summary.json").is_file()
    model = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    torch.save({key: model[key] for key in model if key != "optimizer_states"}, folder / "model.ckpt")
    assert run(*small, override.replace("checkpoints/last", "model"))[0] == 1
    error = capsys.readouterr().err
    assert shlex.split(error.partition(" with ")[2].partition(" instead.")[0]) == [
        f"model.weights={override.partition('=')[2]}".replace("checkpoints/last", "model")
    ]


@pytest.mark.slow
def test_a_closed_terminal_ends_a_run_that_is_then_resumed_exactly(
    run: Run, small: list[str], whole: Path, at_batch: AtBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = "callbacks.progress_bar={_target_:cxr_lightning.training.callbacks.ProgressBar}"
    settings = [*small, *MORE, bar, AT_EPOCHS_END]
    ours, theirs = os.openpty()

    def close_terminal() -> None:
        os.close(ours)
        os.kill(os.getpid(), signal.SIGHUP)

    at_batch(close_terminal, 1, 1)
    with monkeypatch.context() as patch, os.fdopen(theirs, "w") as terminal:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        code, folder = run(*settings)
    assert code == 129
    assert "nothing more is written to stdout" in (folder / "train.log").read_text()
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 6
    assert run(*settings, "resume=auto") == (0, folder)
    assert_same(whole, folder)


def test_a_signal_while_validating_ends_the_run_at_once(
    run: Run, small: list[str], whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*small, *MORE, "callbacks.last_checkpoint.every_steps=2"]
    step, waiting = ChestXRayClassifier.validation_step, [True]

    def signaled(self: ChestXRayClassifier, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        if waiting and self.current_epoch == 1:
            waiting.clear()
            os.kill(os.getpid(), signal.SIGTERM)
        step(self, batch, batch_idx)

    monkeypatch.setattr(ChestXRayClassifier, "validation_step", signaled)
    code, folder = run(*settings)
    assert code == 143
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 6
    assert run(*settings, "resume=auto") == (0, folder)
    assert_same(whole, folder)


def test_a_second_signal_does_not_wait(run: Run, small: list[str], at_batch: AtBatch) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at_batch(twice, 1, 1)
    code, folder = run(*small, *MORE, AT_EPOCHS_END)
    assert code == 130
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 4


def test_a_launcher_that_waits_for_the_signal_gets_it_when_all_is_saved(
    run: Run, small: list[str], at_batch: AtBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: heard.append(len(list(saves))))
    saves: list[Path] = []
    save = LastCheckpoint._save

    def counted(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        saves.append(self.path)

    monkeypatch.setattr(LastCheckpoint, "_save", counted)
    at_batch(lambda: os.kill(os.getpid(), signal.SIGUSR2), 0, 1)
    try:
        code, _ = run(*small, *MORE, AT_EPOCHS_END)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (code, heard) == (128 + signal.SIGUSR2, [1])


def test_slurm_is_asked_to_start_the_job_again(
    run: Run, small: list[str], at_batch: AtBatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = tmp_path / "bin" / "scontrol"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    at_batch(lambda: os.kill(os.getpid(), signal.SIGUSR1), 0, 1)
    assert run(*small, *MORE)[0] == 138
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    at_batch(lambda: os.kill(os.getpid(), signal.SIGTERM), 0, 1)  # SLURM's own end, or a person's
    assert run(*small, *MORE)[0] == 143
    assert (tmp_path / "asked").read_text() == "requeue 17\n"


@pytest.mark.slow
def test_a_run_that_had_stopped_early_is_only_tested_when_resumed(
    run: Run, small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*small, *MORE, "trainer.max_epochs=9", "model.freeze_backbone=true", "monitor.name=train/loss"]
    settings += ["+callbacks.early_stopping.min_delta=9", "callbacks.early_stopping.patience=1", "model.drop_rate=0"]
    _, whole = run(*settings)
    epochs = len(summary_of(whole)["train_loss"])
    assert epochs < 9
    monkeypatch.setattr("pytorch_lightning.Trainer.test", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    code, folder = run(*settings)
    assert code == 143
    monkeypatch.undo()
    on = f"ckpt_path={folder}/checkpoints/last.ckpt"
    for resume in ("resume=auto", on):
        (folder / "summary.json").unlink(missing_ok=True)
        assert run(*settings, resume) == (0, folder)
        assert_same(whole, folder)
    assert run(*settings, on)[0] == 1
    assert f"was stopped early after {epochs}" in capsys.readouterr().err


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_images(
    run: Run, small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, seen = ChestXRayClassifier.training_step, []

    def broken(self: ChestXRayClassifier, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = step(self, batch, batch_idx)
        if (self.current_epoch, batch_idx) != (1, 2):
            return loss
        rows = self.trainer.datamodule.rows("train")["image_id"]  # type: ignore[attr-defined]
        seen.extend(rows.iloc[batch["index"].numpy()])
        return loss * math.nan

    monkeypatch.setattr(ChestXRayClassifier, "training_step", broken)
    code, folder = run(*small, *MORE)
    assert code == 1
    assert "loss but it is nan at batch 3 of epoch 2" in capsys.readouterr().err
    with (folder / "nonfinite_batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == seen
    assert {(row["epoch"], row["batch"]) for row in rows} == {("2", "3")}
    saved = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    tensors = [value for value in saved["state_dict"].values() if isinstance(value, torch.Tensor)]
    assert all(tensor.isfinite().all() for tensor in tensors)


def test_losses_on_a_device_are_looked_at_before_anything_is_saved(
    run: Run, small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a GPU, where looking would wait: not after every batch."""
    monkeypatch.setattr("cxr_lightning.training.callbacks.finite_loss._is_blocking", lambda *_: True)
    step = ChestXRayClassifier.training_step

    def broken(self: ChestXRayClassifier, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        return step(self, batch, batch_idx) * (math.nan if (self.current_epoch, batch_idx) == (1, 1) else 1)

    monkeypatch.setattr(ChestXRayClassifier, "training_step", broken)
    code, folder = run(*small, *MORE, AT_EPOCHS_END)
    assert code == 1
    assert "loss but it is nan at batch 2 of epoch 2" in capsys.readouterr().err
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 4


def test_an_epoch_without_a_number_is_never_the_best(
    run: Run, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    means = iter([(math.nan, 0), (0.25, 1), (math.nan, 0), (0.5, 1)])  # the last is of the test
    monkeypatch.setattr("cxr_lightning.models.classifier.macro_mean", lambda _: next(means))
    monkeypatch.setattr(EarlyStopping, "on_validation_end", lambda *_: None)
    code, folder = run(*small, *MORE)
    assert code == 0
    assert torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["epoch"] == 1
    assert summary_of(folder)["monitor"]["best"] == 0.25


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(
    run: Run, small: list[str], at_batch: AtBatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(50_000) as fill:
        at_batch(fill, 0, 3)
        code, folder = run(*small, *MORE)
    assert code == 1
    error = capsys.readouterr().err
    assert re.search(
        r"best\.ckpt' but got: File too large\. What was there is kept\. Free disk space\. `paths\.log_dir`", error
    )
    assert "Traceback" not in error
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["last.ckpt", "previous.ckpt"]
    for path in (folder / "checkpoints").iterdir():
        torch.load(path, weights_only=True)


def test_what_interrupts_a_save_is_not_taken_for_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs signal handlers, torch's for dead loader processes too, wherever it is."""

    class Interrupts:
        def __init__(self, fault: BaseException) -> None:
            self.fault = fault

        def __reduce__(self) -> Any:
            try:
                raise FileNotFoundError("as some code raises and handles")
            except FileNotFoundError:
                raise self.fault  # noqa: B904

    path = tmp_path / "last.ckpt"
    write_checkpoint({"a": 1}, path)
    for fault in (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), Stopped(15), TypeError("x")):
        with pytest.raises(type(fault)) as caught:
            write_checkpoint({"a": Interrupts(fault)}, path)
        assert caught.value is fault
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_loader_process_that_dies_is_said(
    run: Run, small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    get, parent = ChestXRayDataset.__getitems__, os.getpid()

    def dying(self: ChestXRayDataset, indices: list[int]) -> Any:
        if os.getpid() != parent and 3 in indices:
            os.kill(os.getpid(), signal.SIGKILL)
        return get(self, indices)

    monkeypatch.setattr(ChestXRayDataset, "__getitems__", dying)
    code, _ = run(*small, *MORE, "data.num_workers=1")
    assert code == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "data loader's workers to keep running but one died" in errors[0]
    assert "lower `data.num_workers`" in errors[0]
