"""Progress of work on many images: a bar on a terminal, log messages elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cxr_lightning.utils.signals import raise_if_stopped

_LOG_INTERVAL_SECONDS = 60.0
"""Time between two log messages."""

logger = logging.getLogger(__name__)


def can_draw_bars(console: Console) -> bool:
    """Whether rich draws progress bars on a console; in a notebook without ipywidgets it warns for each instead.

    Args:
        console: The console of the bars.
    """
    return not console.is_jupyter or find_spec("ipywidgets") is not None


@contextmanager
def progress_bar(description: str, total: int, *, shown: bool = True) -> Iterator[Callable[[], object]]:
    """A function to call after each image, while rate and time left are shown.

    It ends the work if a signal was received whose exception was lost.

    Args:
        description: What is being done.
        total: Number of images.
        shown: Whether anything is shown.
    """
    console = Console(stderr=True)
    if shown and not (console.is_terminal and can_draw_bars(console)):
        yield _ProgressLog(description, total).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not shown) as bar:
        task = bar.add_task(description, total=total, rate="")

        def advance() -> None:
            bar.advance(task)
            if speed := bar.tasks[0].speed:
                bar.update(task, rate=f"{speed:,.0f} images/s")
            raise_if_stopped()

        yield advance


class _ProgressLog:
    """Logs the progress at intervals, in place of a bar."""

    def __init__(self, description: str, total: int) -> None:
        self.description, self.total, self.done = description, total, 0
        self.started = self.last_logged = time.monotonic()

    def advance(self) -> None:
        raise_if_stopped()
        self.done += 1
        now = time.monotonic()
        if now - self.last_logged < _LOG_INTERVAL_SECONDS:
            return
        self.last_logged = now
        rate = self.done / (now - self.started)
        minutes = (self.total - self.done) / rate / 60
        logger.info(
            "%s: %s of %s, %s images/s, %.0f min left",
            self.description,
            *(f"{number:,.0f}" for number in (self.done, self.total, rate)),
            minutes,
        )
