"""Signals that ask a program to end, at once or after saving its work.

The first signal is noted by its handler, for the whole process: an exception alone may be lost, since Python raises it
wherever it is, also in a finalizer or in a library's ``except BaseException``.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from cxr_lightning.utils.distributed import is_rank_zero

logger = logging.getLogger(__name__)

_STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)
_SCHEDULER_SIGNALS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Signals with which schedulers announce a job's end; a launcher such as submitit handles them itself."""


@dataclass
class _State:
    """What this process has received: handlers of signals are those of the whole process.

    Attributes:
        signum: The first signal; None before.
        blocks: Number of :func:`stop_on_signals` that the program is within.
        requeued: Whether SLURM was asked to start the job again.
    """

    signum: int | None = None
    blocks: int = 0
    requeued: bool = False


_state = _State()


class Stopped(SystemExit):
    """A signal asked the program to end; uncaught, it exits with the status that shells report for that signal.

    Args:
        signum: The signal, such as 15 of SIGTERM, whose status is 143.
        saved: Checkpoint to resume from; empty if nothing was saved.
    """

    def __init__(self, signum: int, saved: str = "") -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.saved = saved

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}"


def raise_if_stopped(cause: BaseException | None = None) -> None:
    """End the program if a signal was received whose exception was lost; long work calls this at every step.

    Args:
        cause: The error that is being handled, which may be a consequence of the signal.

    Raises:
        Stopped: If a signal was received.
    """
    if _state.signum is not None:
        raise Stopped(_state.signum) from cause


def forget_signal() -> None:
    """Forget the received signal: it was acted upon, or another process of the run acts upon it."""
    _state.signum, _state.requeued = None, False


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within the block the first signal raises :class:`Stopped`, so that open files are closed.

    Where that exception is lost, :func:`raise_if_stopped` raises it again, and at the latest the end of the block.
    Handlers that the caller or a launcher has set stay.
    """
    if threading.current_thread() is not threading.main_thread():  # Python handles no signals in others
        yield
        return
    before = {signum: signal.signal(signum, _stop) for signum in _STOP_SIGNALS if _has_default_handler(signum)}
    show_lost, sys.unraisablehook = sys.unraisablehook, _show_lost_exception(sys.unraisablehook)
    _state.blocks += 1
    try:
        yield
        raise_if_stopped()
    except Stopped:
        raise
    except BaseException as error:
        raise_if_stopped(error)
        raise
    finally:
        _state.blocks -= 1
        forget_signal()
        sys.unraisablehook = show_lost
        _set_handlers(before)


def requeue_slurm_job() -> None:
    """Have SLURM start the job again, once, if this is one of SLURM's jobs."""
    job, array = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_ARRAY_JOB_ID")
    if job is None or _state.requeued:
        return
    _state.requeued = True
    name = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job
    try:
        subprocess.run(["scontrol", "requeue", name], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("SLURM does not start job %s again: %s", name, error)


class SignalWatch:
    """Record the first signal instead of ending the program; a second one ends it at once.

    A signal that was received before counts, if it was within :func:`stop_on_signals`.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    @property
    def received(self) -> int | None:
        """The first signal; None before."""
        return _state.signum

    def start(self) -> None:
        """Start recording; does nothing outside the main thread, where Python handles no signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        if not _state.blocks:
            forget_signal()
        for signum in {*_STOP_SIGNALS, *_SCHEDULER_SIGNALS}:
            if (signum in _STOP_SIGNALS and _has_default_handler(signum)) or callable(signal.getsignal(signum)):
                self._before[signum] = signal.signal(signum, self._record)

    def stop(self) -> None:
        """Restore the handlers from before."""
        _set_handlers(self._before)
        self._before = {}
        if not _state.blocks:
            forget_signal()

    @property
    def launcher_handler(self) -> Callable[[int, FrameType | None], object] | None:
        """A launcher's handler of the received scheduler signal, which starts the job again; None without one."""
        handler = self._before.get(self.received or 0)
        return handler if self.received in _SCHEDULER_SIGNALS and callable(handler) and handler is not _stop else None

    def _record(self, signum: int, _: FrameType | None) -> None:
        if _state.signum is not None:
            raise Stopped(_state.signum)
        _state.signum = signum
        logger.warning("%s: saving and stopping after this batch", signal.Signals(signum).name)


def _stop(signum: int, _: FrameType | None) -> None:
    is_first = _state.signum is None
    _state.signum = _state.signum or signum
    if is_first and signum in _SCHEDULER_SIGNALS and is_rank_zero():
        requeue_slurm_job()
    raise Stopped(_state.signum)


def _has_default_handler(signum: int) -> bool:
    """Whether a signal is to be handled here: nobody else does, and ``nohup`` has not asked to ignore it."""
    handler = signal.getsignal(signum)  # None: set outside Python, and could not be restored
    if signum == getattr(signal, "SIGHUP", None) and handler == signal.SIG_IGN:
        return False
    return handler in (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)


def _set_handlers(handlers: dict[int, Any]) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def _show_lost_exception(show: Callable[[Any], object]) -> Callable[[Any], object]:
    """Python's report of an exception in a finalizer, without those of signals, which are not lost."""
    return lambda lost: None if isinstance(lost.exc_value, Stopped) else show(lost)
