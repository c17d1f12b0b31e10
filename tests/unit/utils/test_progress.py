"""Where progress bars are drawn."""

import io
import logging
import sys
import warnings

import pytest
from rich.console import Console
from rich.progress import Progress

from cxr_lightning.training.callbacks import ProgressBar
from cxr_lightning.utils import progress
from cxr_lightning.utils.console_log import SHOWN_IN_BAR, ConsoleHandler
from cxr_lightning.utils.progress import can_draw_bars, progress_bar


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.utils.progress.find_spec", lambda name: None)


@pytest.mark.usefixtures("no_widgets")
def test_a_terminal_has_bars_and_a_notebook_only_with_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_draw_bars(Console(file=Terminal(), force_terminal=True))
    assert not can_draw_bars(Console(file=io.StringIO(), force_terminal=True))  # colors are forced into a file
    assert not can_draw_bars(Console(file=io.StringIO(), force_jupyter=True))
    monkeypatch.setattr("cxr_lightning.utils.progress.find_spec", lambda name: object())
    assert can_draw_bars(Console(file=io.StringIO(), force_jupyter=True))


@pytest.mark.usefixtures("no_widgets")
def test_without_ipywidgets_a_notebook_sees_neither_bars_nor_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Console(file=io.StringIO(), force_jupyter=True, force_terminal=True)
    monkeypatch.setattr("cxr_lightning.utils.progress.Console", lambda **_: notebook)
    monkeypatch.setattr("cxr_lightning.training.callbacks.progress.get_console", lambda: notebook)
    assert ProgressBar().is_disabled
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with progress_bar("preparing", 2) as advance:
            advance()


def test_results_stay_in_their_file_while_a_bar_is_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Console(file=Terminal(), force_terminal=True)
    monkeypatch.setattr(progress, "error_console", lambda: terminal)
    with progress_bar("predicting", 3) as advance:
        sys.stdout.write('{"result": 1}\n')
        advance(2)
        advance()
    assert capsys.readouterr().out == '{"result": 1}\n'
    assert isinstance(terminal.file, Terminal)
    assert "3/3" in terminal.file.getvalue()


def test_a_log_has_a_line_at_intervals(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO), progress_bar("preparing", 10_000) as advance:
        for _ in range(5):
            now[0] += 30
            advance(1000)
    assert caplog.messages == [
        "preparing: 2,000 of 10,000, 33 images/s, 4 min left",
        "preparing: 4,000 of 10,000, 33 images/s, 3 min left",
    ]


def test_the_console_has_messages_above_a_bar_without_those_that_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    handler = ConsoleHandler(terminal)
    with Progress(console=Console(force_terminal=True, color_system=None)) as bar:
        bar.add_task("training")
        handler.handle(logging.makeLogRecord({"msg": "shown"}))
        handler.handle(logging.makeLogRecord({"msg": "not shown", SHOWN_IN_BAR: True}))
    handler.handle(logging.makeLogRecord({"msg": "later"}))
    lines = terminal.getvalue().splitlines()
    assert next(line for line in lines if "shown" in line).endswith(
        "\x1b[2Kshown"
    )  # in place of the bar, which follows
    assert lines[-1].endswith("later")
    assert "not shown" not in terminal.getvalue()
