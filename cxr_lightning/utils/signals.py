"""Signals that ask a program to end, at once or after saving its work."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cxr_lightning.utils.distributed import is_rank_zero

logger = logging.getLogger(__name__)

_STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
_SCHEDULER_SIGNALS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Signals with which schedulers announce a job's end; a launcher such as submitit handles them itself."""


class Stopped(SystemExit):
    """A signal asked the program to end; uncaught, it exits with the status that shells report for that signal.

    Args:
        signum: The signal, such as 15 of SIGTERM, whose status is 143.
        saved: Checkpoint to continue from; empty if nothing was saved.
    """

    def __init__(self, signum: int, saved: str = "") -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.saved = saved

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}"


def _stop(signum: int, _: FrameType | None) -> None:
    if signum in _SCHEDULER_SIGNALS and is_rank_zero():
        requeue_slurm_job()
    raise Stopped(signum)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within the block signals raise :class:`Stopped`, so that open files are closed."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for signum in _STOP_SIGNALS:
            if signum not in _SCHEDULER_SIGNALS or not callable(signal.getsignal(signum)):  # else a launcher handles it
                before[signum] = signal.signal(signum, _stop)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def requeue_slurm_job() -> None:
    """Have SLURM start the job again, if this is one of SLURM's jobs."""
    job, array = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_ARRAY_JOB_ID")
    if job is None:
        return
    name = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job
    try:
        subprocess.run(["scontrol", "requeue", name], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("SLURM does not start job %s again: %s", name, error)


class SignalWatch:
    """Record the first signal instead of ending the program; a second one ends it at once.

    Attributes:
        received: The first signal; None before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Start recording; does nothing outside the main thread, where Python handles no signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in {*_STOP_SIGNALS, *_SCHEDULER_SIGNALS}:
            if signum in _STOP_SIGNALS or callable(signal.getsignal(signum)):
                self._before[signum] = signal.signal(signum, self._record)

    def stop(self) -> None:
        """Restore the handlers from before."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    @property
    def launcher_handler(self) -> Callable[[int, FrameType | None], object] | None:
        """A launcher's handler of the received scheduler signal, which starts the job again; None without one."""
        handler = self._before.get(self.received or 0)
        return handler if self.received in _SCHEDULER_SIGNALS and callable(handler) and handler is not _stop else None

    def _record(self, signum: int, _: FrameType | None) -> None:
        if self.received is not None:
            raise Stopped(signum)
        self.received = signum
        logger.warning("%s: saving and stopping after this batch", signal.Signals(signum).name)
