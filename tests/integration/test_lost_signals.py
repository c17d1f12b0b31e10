"""A signal whose exception is lost, in a finalizer or in somebody's ``except``, still ends what was asked to end."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins import basic_launcher
from hydra.core import utils as hydra_utils
from hydra.core.global_hydra import GlobalHydra

import cxr_lightning
from cxr_lightning.app import train_job
from cxr_lightning.cli.main import main
from cxr_lightning.data.cache.store import CacheWriter
from cxr_lightning.inference.predictor import Predictor
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.training.callbacks import StepSeeds
from cxr_lightning.utils.signals import SignalWatch, Stopped, raise_if_stopped, stop_on_signals
from tests.conftest import Run

Lose = Callable[[int], None]
Once = Callable[..., list[int]]


def receive(signum: int) -> None:
    """Receive a signal, and give Python the time to run its handler."""
    os.kill(os.getpid(), signum)
    for _ in range(100):
        pass


def in_a_finalizer(signum: int) -> None:
    class Finalized:
        def __del__(self) -> None:
            receive(signum)

    Finalized()


def in_an_except(signum: int) -> None:
    with suppress(BaseException):
        receive(signum)


def as_another_error(signum: int) -> None:
    try:
        receive(signum)
    except BaseException as error:
        raise RuntimeError("a callback failed") from error


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> Once:
    """Has a signal come, and be lost, in the first call of a function, which goes on; the calls are counted."""

    def wrap(holder: Any, name: str, lose: Lose, signum: int, call: int = 1) -> list[int]:
        original, calls = getattr(holder, name), [0]

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == call:
                lose(signum)
            return original(*args, **kwargs)

        monkeypatch.setattr(holder, name, wrapped)
        return calls

    return wrap


@pytest.mark.parametrize(
    ("lose", "signum", "name", "multirun"),
    [
        (in_a_finalizer, signal.SIGINT, "build_model", True),
        (in_a_finalizer, signal.SIGHUP, "ignore_intended_warnings", False),
        (in_an_except, signal.SIGTERM, "configured_trainer", True),
        (as_another_error, signal.SIGINT, "build_model", True),
        (as_another_error, signal.SIGTERM, "build_model", False),
    ],
)
def test_nothing_is_trained_after_a_signal_in_the_setup(
    run: Run,
    small: list[str],
    once: Once,
    lose: Lose,
    signum: int,
    name: str,
    multirun: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = once(train_job, name, lose, signum)
    assert run(*(["-m", "seed=1,2"] if multirun else []), *small)[0] == 128 + signum
    assert calls == [1]
    said = capsys.readouterr()
    assert f"stopped by {signal.Signals(signum).name}" in said.err
    assert "Traceback" not in said.err + said.out
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("swallowed", ["between jobs", "in a job"])
def test_no_job_of_a_sweep_begins_after_a_signal(
    run: Run, small: list[str], once: Once, swallowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_one = hydra_utils.run_job

    def robust(*args: Any, **kwargs: Any) -> Any:
        """As a launcher that goes on after anything."""
        try:
            return run_one(*args, **kwargs)
        except BaseException as error:
            return hydra_utils.JobReturn(status=hydra_utils.JobStatus.COMPLETED, _return_value=repr(error))

    if swallowed == "between jobs":
        once(hydra_utils, "_flush_loggers", in_an_except, signal.SIGINT)
    else:
        monkeypatch.setattr(basic_launcher, "run_job", robust)
        once(train_job, "show_outcome", receive, signal.SIGINT)
    calls = once(train_job, "build_model", lambda _: None, 0)
    assert run("-m", "seed=1,2,3", *small, "trainer.max_epochs=1")[0] == 130
    assert calls == [1]


@pytest.mark.parametrize(
    ("step", "most"), [("validation_step", 1), ("test_step", 1), ("training_step", 1), ("on_fit_end", None)]
)
def test_a_signal_in_a_step_ends_the_run(
    run: Run, small: list[str], once: Once, step: str, most: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = once(ChestXRayClassifier, step, in_a_finalizer, signal.SIGTERM)
    code, folder = run(*small, "trainer.max_epochs=1", "trainer.num_sanity_val_steps=1")
    assert code == 143
    assert most is None or calls[0] <= most
    assert not (folder / "summary.json").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_evaluation_and_prediction_end_at_a_lost_signal(
    run: Run, evaluate: Run, own_small: list[str], once: Once, nih_folder: Path, tmp_path: Path
) -> None:
    _, folder = run(*own_small, "trainer.max_epochs=1", "test=false")
    calls = once(ChestXRayClassifier, "predict_step", in_an_except, signal.SIGHUP)
    assert evaluate(f"ckpt={folder}/checkpoints/best.ckpt")[0] == 129
    assert calls == [1]
    calls = once(Predictor, "_result", in_an_except, signal.SIGINT, call=6)
    command = ["predict", str(nih_folder / "images"), "--model", f"{folder}/checkpoints/best.ckpt"]
    command += ["--out", str(tmp_path / "out")]
    assert main([*command, "--batch-size", "4"]) == 130
    assert calls[0] == 6
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 6
    assert main([*command, "--resume"]) == 0


@pytest.mark.parametrize(
    ("lose", "signum", "name"), [(in_a_finalizer, 2, "SIGINT"), (in_an_except, 15, "SIGTERM"), (receive, 1, "SIGHUP")]
)
def test_a_verb_ends_at_a_signal(
    nih_folder: Path,
    tmp_path: Path,
    once: Once,
    lose: Lose,
    signum: int,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = once(CacheWriter, "add", lose, signum, call=3)
    arguments = ["prepare", str(nih_folder), "--cache-dir", str(tmp_path / "cache"), "--workers", "1"]
    assert main(arguments) == 128 + signum
    assert calls == [3]
    assert capsys.readouterr().err.splitlines()[-1] == f"stopped by {name}"
    assert main(arguments) == 0


def test_the_verb_train_says_once_that_it_was_stopped(
    small: list[str], once: Once, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once(train_job, "build_model", in_a_finalizer, signal.SIGTERM)
    GlobalHydra.instance().clear()
    assert main(["train", *small, f"paths.log_dir={tmp_path}", f"paths.cache_dir={tmp_path}/cache"]) == 143
    assert capsys.readouterr().err.splitlines() == ["stopped by SIGTERM"]


@pytest.mark.parametrize(
    ("signum", "error", "training"),
    [
        (signal.SIGINT, KeyboardInterrupt, False),
        (signal.SIGINT, KeyboardInterrupt, True),
        (signal.SIGTERM, Stopped, True),
    ],
)
def test_python_gets_its_handlers_and_its_exceptions_back(
    small: list[str],
    once: Once,
    signum: int,
    error: type[BaseException],
    training: bool,
    tmp_path: Path,
) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    hook = sys.unraisablehook
    holder, name = (StepSeeds, "on_train_batch_start") if training else (train_job, "build_model")
    once(holder, name, in_a_finalizer, signum)
    settings = [*small, "trainer.max_epochs=1", f"paths.log_dir={tmp_path}/logs", f"paths.cache_dir={tmp_path}/cache"]
    with pytest.raises(error):
        cxr_lightning.train(*settings)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert sys.unraisablehook is hook
    raise_if_stopped()  # nothing is left of the signal


def test_handlers_of_the_caller_and_of_nohup_stay() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1)), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            receive(signal.SIGTERM)
            receive(signal.SIGHUP)
            watch = SignalWatch()
            watch.start()
            receive(signal.SIGHUP)
            watch.stop()
        assert heard == [1]
        assert watch.received is None
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
