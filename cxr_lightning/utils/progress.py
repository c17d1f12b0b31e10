"""Progress of work on many images: a bar on a terminal, log messages elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cxr_lightning.utils.plain_text import visible
from cxr_lightning.utils.signals import raise_if_stopped
from cxr_lightning.utils.text_tables import error_console

LOG_INTERVAL_SECONDS = 60.0
"""Time between two log messages."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

logger = logging.getLogger(__name__)


class Advance(Protocol):
    """A function to call after one image, or after several."""

    def __call__(self, images: int = 1) -> None:
        """Count the images."""


def can_draw_bars(console: Console) -> bool:
    """Whether rich draws progress bars on a console: on a terminal, and in a notebook with ipywidgets.

    In a notebook without them it warns for each bar instead; into a file with forced colors it writes every frame.

    Args:
        console: The console of the bars.
    """
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return console.is_interactive and console.file.isatty()


def format_duration(seconds: float) -> str:
    """Format a duration for people.

    Example:
        >>> [format_duration(seconds) for seconds in (0.2, 59, 90, 3600, 12_000, 200_000)]
        ['1 s', '59 s', '2 min', '60 min', '3 h 20 min', '2 d 8 h']
    """
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    if seconds < 2 * _DAY:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / _HOUR), 24)
    return f"{days} d {hours} h"


def format_speed(images_per_second: float) -> str:
    """Format a number of images per second.

    Example:
        >>> format_speed(1234.5), format_speed(4.26)
        ('1,234 images/s', '4.3 images/s')
    """
    return f"{images_per_second:,.{0 if images_per_second >= 10 else 1}f} images/s"


@contextmanager
def progress_bar(description: str, total: int, *, shown: bool = True) -> Iterator[Advance]:
    """A function to call after each image, while speed and time left are shown.

    It ends the work if a signal was received whose exception was lost.

    Args:
        description: What is being done.
        total: Number of images.
        shown: Whether anything is shown.
    """
    console = error_console()
    if shown and not can_draw_bars(console):
        yield _ProgressLog(description, total).advance
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
        TimeRemainingColumn(),
    )
    # rich prints what is written meanwhile above the bar; results that go into a file are none of that.
    with Progress(*columns, console=console, disable=not shown, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(visible(description), total=total, speed="")

        def advance(images: int = 1) -> None:
            bar.advance(task, images)
            if speed := bar.tasks[0].speed:
                bar.update(task, speed=format_speed(speed))
            raise_if_stopped()

        yield advance


class _ProgressLog:
    """Logs the progress at intervals, in place of a bar."""

    def __init__(self, description: str, total: int) -> None:
        self.description, self.total, self.done = description, total, 0
        self.started = self.last_logged = time.monotonic()

    def advance(self, images: int = 1) -> None:
        raise_if_stopped()
        self.done = min(self.total, self.done + images)
        now = time.monotonic()
        if now - self.last_logged < LOG_INTERVAL_SECONDS:
            return
        self.last_logged = now
        speed = self.done / max(now - self.started, 1e-9)
        logger.info(
            "%s: %s of %s, %s, %s left",
            self.description,
            f"{self.done:,}",
            f"{self.total:,}",
            format_speed(speed),
            format_duration((self.total - self.done) / speed),
        )
