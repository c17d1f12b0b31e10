"""Signals that ask a program to end: at once, or when it has saved what it did."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cxr_lightning.utils.distributed import is_first_process

logger = logging.getLogger(__name__)

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
_CLUSTERS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""With which schedulers announce the end; a launcher such as submitit waits for them itself."""


class Stopped(SystemExit):
    """A signal asked the program to end; uncaught, it exits with the status that shells report of such an end.

    Args:
        signum: The signal, such as 15 of SIGTERM, whose status is 143.
        saved: Where to go on from; empty if nothing was saved.
    """

    def __init__(self, signum: int, saved: str = "") -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.saved = saved

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}"


def _stop(signum: int, _: FrameType | None) -> None:
    if signum in _CLUSTERS and is_first_process():
        ask_slurm_for_another_start()
    raise Stopped(signum)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Within the block signals raise :class:`Stopped`, so that what is open is closed."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for signum in _ENDING:
            if signum not in _CLUSTERS or not callable(signal.getsignal(signum)):  # else a launcher waits for it
                before[signum] = signal.signal(signum, _stop)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def ask_slurm_for_another_start() -> None:
    """Have SLURM start the job again, if it is one of SLURM's."""
    job, array = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_ARRAY_JOB_ID")
    if job is None:
        return
    name = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job
    try:
        subprocess.run(["scontrol", "requeue", name], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("SLURM does not start job %s again: %s", name, error)


class SignalWatch:
    """Takes note of the first signal instead of ending; a second one ends the program at once.

    Attributes:
        received: The first signal; None before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """From now on; does nothing outside the main thread, where Python handles no signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in {*_ENDING, *_CLUSTERS}:
            if signum in _ENDING or callable(signal.getsignal(signum)):
                self._before[signum] = signal.signal(signum, self._note)

    def stop(self) -> None:
        """Leave signals to whoever had them before."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    @property
    def waiting(self) -> Callable[[int, FrameType | None], object] | None:
        """Who else waits for the received signal of a scheduler, such as a launcher that has the job started again."""
        handler = self._before.get(self.received or 0)
        return handler if self.received in _CLUSTERS and callable(handler) and handler is not _stop else None

    def _note(self, signum: int, _: FrameType | None) -> None:
        if self.received is not None:
            raise Stopped(signum)
        self.received = signum
        logger.warning("%s: saving and stopping after this batch", signal.Signals(signum).name)
