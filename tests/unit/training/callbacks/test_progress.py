"""The parts of the bar's line, the time that is left, and who logs."""

import io
import math
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning import Callback
from rich.console import Console
from rich.progress import Progress

from cxr_lightning.training.build import complete_callbacks
from cxr_lightning.training.callbacks import History, ProgressBar, ProgressLog
from cxr_lightning.training.callbacks.time_left import Pace, batches_left, seconds_left
from cxr_lightning.training.run_settings import RunSettings

PACE = Pace(batches=10, images=160, seconds=5.0)


@pytest.mark.parametrize(
    ("width", "shown"), [(100, "1234.5 it/s loss 0.137 val AUROC 0.523"), (80, "val AUROC 0.523"), (60, "AUROC 0.523")]
)
def test_the_longest_numbers_fit_on_one_line(monkeypatch: pytest.MonkeyPatch, width: int, shown: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr("cxr_lightning.training.callbacks.progress.get_console", lambda: console)
    bar = ProgressBar()
    bar._metrics = {"train/loss_step": 0.13721, "val/auroc": 0.52341}
    progress = Progress(*bar.configure_columns(None), console=console, auto_refresh=False)  # type: ignore[arg-type]
    bar.train_progress_bar_id = progress.add_task("Epoch 100/100", total=10_000, completed=9_999)
    monkeypatch.setattr(type(progress.tasks[0]), "speed", 1234.5)
    monkeypatch.setattr(type(progress.tasks[0]), "time_remaining", 36_000.0)
    with console.capture() as capture:
        console.print(progress.get_renderable())
    (line,) = capture.get().splitlines()
    assert line.startswith("Epoch 100/100 ")
    assert line.rstrip().endswith(shown)
    assert " 9999/10000 10:00:00 " in line


def trainer(**changes: Any) -> Any:
    """Three epochs of 100 batches, each followed by 20 of validation; the second is in progress."""
    settings = {
        "max_epochs": 3,
        "max_steps": -1,
        "current_epoch": 1,
        "global_step": 110,
        "accumulate_grad_batches": 1,
        "num_training_batches": 100,
        "num_val_batches": [20],
        "enable_validation": True,
        "val_check_batch": 100,
        "check_val_every_n_epoch": 1,
    }
    return SimpleNamespace(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "batches"),
    [
        ({}, 190),
        ({"max_epochs": -1}, math.inf),
        ({"max_epochs": None, "max_steps": 150}, 40),
        ({"max_steps": 120, "accumulate_grad_batches": 4}, 40),
        ({"max_epochs": 1}, 0),
    ],
)
def test_batches_are_left_until_the_last_epoch_or_step(changes: dict[str, Any], batches: float) -> None:
    assert batches_left(trainer(**changes), done=10) == batches


@pytest.mark.parametrize(
    ("changes", "validation", "seconds"),
    [
        ({}, None, 190 * 0.5 + 2 * 20 * 0.5),
        ({}, 3.0, 190 * 0.5 + 2 * 3.0),
        ({"val_check_batch": 50}, 3.0, 190 * 0.5 + 4 * 3.0),
        ({"check_val_every_n_epoch": 2}, 3.0, 190 * 0.5 + 3.0),
        ({"enable_validation": False}, None, 190 * 0.5),
        ({"max_epochs": -1}, 3.0, math.inf),
    ],
)
def test_the_time_left_is_that_of_all_epochs_with_their_validation(
    changes: dict[str, Any], validation: float | None, seconds: float
) -> None:
    assert seconds_left(trainer(**changes), 10, PACE, validation) == pytest.approx(seconds)


@pytest.mark.parametrize("configured", [[], [ProgressLog(5), History("x")]])
def test_the_progress_is_logged_after_the_history(configured: list[Callback]) -> None:
    callbacks, history = complete_callbacks(configured, folder="x", seed=1, settings=RunSettings({}, {}), text="")
    assert [type(callback) for callback in callbacks].count(History) == 1
    logs = [callbacks.index(callback) for callback in callbacks if isinstance(callback, ProgressLog)]
    assert len(logs) == len([callback for callback in configured if isinstance(callback, ProgressLog)])
    assert all(position > callbacks.index(history) for position in logs)


def test_the_seconds_between_two_lines_are_not_negative() -> None:
    with pytest.raises(ValueError, match="at least 0, or null, but got -1"):
        ProgressLog(-1)
