"""Where progress bars are drawn."""

import io
import warnings

import pytest
from rich.console import Console

from cxr_lightning.training.callbacks import ProgressBar
from cxr_lightning.utils.progress import can_draw_bars, progress_bar


@pytest.fixture
def no_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.utils.progress.find_spec", lambda name: None)


@pytest.mark.usefixtures("no_widgets")
def test_a_terminal_has_bars_and_a_notebook_only_with_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_draw_bars(Console(file=io.StringIO(), force_terminal=True))
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
