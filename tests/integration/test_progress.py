"""What a run shows: lines in a log, a bar on a terminal, and the next command."""

import io
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text

from cxr_lightning.training.callbacks import ProgressBar
from cxr_lightning.utils import progress
from tests.conftest import Die, Run, died, history_of

EVERY_BATCH = "callbacks.progress_log.every_seconds=0"
NEXT = "to evaluate it: "


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def with_bar(small: list[str]) -> list[str]:
    """Settings of a small run that has the progress bar."""
    return [text for text in small if "progress_bar" not in text]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Makes standard output a terminal of 80 columns."""

    def make() -> Terminal:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr("rich._console", None)  # one that an earlier test has made remembers its environment
        monkeypatch.setattr(sys, "stdout", made := Terminal())
        return made

    return make


def test_a_redirected_run_logs_the_history_and_the_command_that_evaluates_it(
    run: Run,
    evaluate: Run,
    with_bar: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on machines of continuous integration; no reason for a bar in a file
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    folder = tmp_path / "it's a run, [1]=a"
    assert run(*with_bar, EVERY_BATCH, f'hydra.run.dir="{folder}"')[0] == 0
    out = capsys.readouterr().out
    assert "━" not in out
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    log = (folder / "train.log").read_text()
    assert [line.partition("progress_log: ")[2] for line in log.splitlines() if ": epoch " in line] == lines
    history = history_of(folder)
    done = [line for line in lines if " done, " in line]
    batches = len([line for line in lines if line.startswith("epoch 1 of 2, batch ")])
    for number, (line, row) in enumerate(zip(done, history, strict=True), start=1):
        numbers = (row["train_loss"], row["val_loss"], row["val_auroc"])
        texts = "loss {:.4f}, val loss {:.4f}, val AUROC {:.4f}".format(*numbers)
        speed = progress.format_speed(row["images_per_second"])
        assert line.startswith(f"epoch {number} of 2 done, step {number * batches}, {texts}, {speed}")
        assert line.endswith(" s left") == (number == 1)
    step = batches + 2
    assert any(line.startswith(f"epoch 2 of 2, batch 2 of {batches}, step {step}, loss 0.") for line in lines)
    assert any(re.fullmatch(r"epoch 1 of 2, validation batch 1 of \d+", line) for line in lines)
    assert "\ntest batch 1 of " in out
    (command,) = [line.removeprefix(NEXT) for line in out.splitlines() if line.startswith(NEXT)]
    assert f"{NEXT}{command}\n" in log
    monkeypatch.setattr(progress, "LOG_INTERVAL_SECONDS", 0.0)
    program, script, *settings = shlex.split(command)
    assert (Path(program).name.startswith("python"), script) == (True, "evaluate.py")
    code, report = evaluate(*settings, "progress_bar=true")
    assert code == 0
    assert (report / "report.html").is_file()
    assert re.search(r"^predicting: 4 of 8, .* images/s, 1 s left$", capsys.readouterr().out, re.MULTILINE)


def test_a_run_that_is_resumed_in_an_epoch_goes_on_with_its_counts(
    run: Run, small: list[str], die: Die, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*small, EVERY_BATCH, "callbacks.last_checkpoint.every_steps=1"]
    die(1, 3)
    died(run, *settings)
    before = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    code, folder = run(*settings, "resume=auto")
    assert code == 0
    after = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    counts = [re.match(r"epoch (\d) of 2, batch (\d+) of \d+, step (\d+)", line) for line in (before[-1], after[0])]
    last, first = (tuple(map(int, found.groups())) for found in counts if found)
    assert (last[:2], first) == ((2, 3), (2, 4, last[2] + 1))
    assert f"loss {history_of(folder)[1]['train_loss']:.4f}, " in after[-1]


def test_the_bar_is_one_line_of_a_terminal_and_the_log_is_in_the_file(
    run: Run, with_bar: list[str], terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProgressBar, "refresh", lambda bar, hard=False: bar.progress and bar.progress.refresh())
    out = terminal()
    code, folder = run(*with_bar, EVERY_BATCH, "+callbacks.progress_bar.seconds=0")
    assert code == 0
    shown = out.getvalue()
    assert "\x1b[1A" not in shown  # rich goes up to draw again what took more than one line
    frames = [Text.from_ansi(line).plain for line in re.split(r"[\r\n]+", shown) if "━" in line or "╸" in line]
    assert max(map(len, frames)) <= 80
    assert {frame.split()[0] for frame in frames} == {"Epoch", "Validation", "Testing"}
    for number, row in enumerate(history_of(folder), start=1):
        finished = [frame for frame in frames if f"Epoch {number}/2" in frame][-1]
        assert finished.rstrip().endswith(f" it/s loss {row['train_loss']:.3f} val AUROC {row['val_auroc']:.3f}")
    kept = [line for line in shown.split("\n") if "Epoch 1/2" in line]
    assert len(kept) == 1
    assert "step" not in shown
    assert (folder / "train.log").read_text().count(" done, step ") == 2


def test_a_run_without_the_bar_has_the_lines_on_a_terminal_too(
    run: Run, small: list[str], terminal: Callable[[], Terminal]
) -> None:
    out = terminal()
    assert run(*small, "trainer.max_epochs=1")[0] == 0
    assert "━" not in out.getvalue()
    assert out.getvalue().count("epoch 1 of 1 done, step ") == 1


def test_no_lines_and_no_command_where_they_are_not_wanted(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*small, "callbacks.progress_log=null", "trainer.max_epochs=1")[0] == 0
    assert "epoch" not in capsys.readouterr().out
    assert run(*small, "debug=fast", EVERY_BATCH)[0] == 0
    out = capsys.readouterr().out
    assert "epoch" not in out
    assert NEXT not in out


def test_a_monitored_number_and_early_stopping_are_in_the_lines(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["monitor.name=val/auroc/Mass", "+callbacks.early_stopping.min_delta=1"]
    settings += ["callbacks.early_stopping.patience=1", "trainer.max_epochs=5", "test=false"]
    assert run(*small, *settings, "callbacks.progress_log.every_seconds=null")[0] == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert [line[:15] for line in lines] == ["epoch 1 of 5 do", "epoch 2 of 5 do"]
    assert all(re.search(r"val AUROC [\d.]+, val/auroc/Mass [\d.]+, ", line) for line in lines)
    assert "\nstopped early after epoch 2 of 5\n" in out
