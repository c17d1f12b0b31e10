"""Calls of a function in a process with limited memory and time, for files that may crash or stall a library.

Libraries written in C decode what other people's files hold. In a process of its own a damaged or hostile file ends
that process alone, and takes no more memory and time than the limits allow.
"""

import atexit
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from threading import Lock, Timer
from typing import IO
from weakref import WeakSet

from cxr_lightning.utils.limited_server import (
    ANSWERED,
    LAST_ANSWER,
    OUT_OF_MEMORY,
    FrameTooLongError,
    read_frame,
    serve,
    write_frame,
)
from cxr_lightning.utils.subprocesses import WORKER_VARIABLES, helper_command

_WALL_FACTOR = 4
"""Ratio of the time on the clock to the processor time after which a call is ended: the machine may be busy."""
_SECONDS_TO_END = 5
"""Seconds that a process has to end once it has closed its answers."""


@dataclass(frozen=True)
class Limits:
    """What a call may take.

    Attributes:
        memory: Bytes of memory of the process, with the libraries that it imports.
        seconds: Seconds of processor time.
        file_bytes: Bytes of each file that it writes, what it prints among them; None for any number.
        answer_bytes: Bytes of its answer.
    """

    memory: int
    seconds: int
    file_bytes: int | None = None
    answer_bytes: int = 1 << 20


class LimitedCallError(ValueError):
    """A call that gave no answer; the message is a clause, such as "it takes more than 10 s".

    Args:
        reason: The clause.
        exceeds_limits: Whether memory or time did not suffice.
    """

    def __init__(self, reason: str, *, exceeds_limits: bool = False) -> None:
        super().__init__(reason)
        self.exceeds_limits = exceeds_limits


@dataclass(eq=False)
class LimitedFunction:
    """A function that is called in processes of its own, which are kept for further calls.

    Attributes:
        module: Module that holds the function.
        function: Name of a function from bytes to bytes.
        limits: What each call may take.
    """

    module: str
    function: str
    limits: Limits
    _idle: list["_Process"] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        _FUNCTIONS.add(self)

    def __call__(self, task: bytes) -> bytes:
        """Call the function; what fails in a process that was kept is tried once more in a new one.

        Args:
            task: Its argument.

        Raises:
            LimitedCallError: If it raises an exception, exceeds a limit, or its process ends.
        """
        if process := self._take():
            try:
                return self._call(process, task)
            except _OutOfTimeError:
                raise
            except LimitedCallError:  # earlier tasks may have left it too little memory, or a library in disorder
                pass
        return self._call(_Process(self.module, self.function, self.limits), task)

    def close(self) -> None:
        """End the processes that are kept."""
        with self._lock:
            while self._idle:
                self._idle.pop().kill()

    def _call(self, process: "_Process", task: bytes) -> bytes:
        try:
            answer = process.exchange(task, self.limits)
        except BaseException as error:
            process.kill()
            if isinstance(error, _ProcessEndedError):
                raise process.reason(self.limits) from None
            raise
        if answer[:1] == ANSWERED and not process.timed_out:  # else it is ended just after its answer
            with self._lock:
                self._idle.append(process)
        else:
            process.kill()
        if answer[:1] == OUT_OF_MEMORY:
            reason = f"it takes more than {self.limits.memory >> 20:,} MiB of memory"
            raise LimitedCallError(reason, exceeds_limits=True)
        if answer[:1] not in (ANSWERED, LAST_ANSWER):
            raise LimitedCallError(answer[1:].decode(errors="replace"))
        return answer[1:]

    def _take(self) -> "_Process | None":
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive():
                    return process
                process.kill()
        return None

    def _forget(self) -> None:
        self._idle, self._lock = [], Lock()


_FUNCTIONS: WeakSet[LimitedFunction] = WeakSet()
"""The functions in use, whose processes end with this process."""


@atexit.register
def _close_all() -> None:
    for function in list(_FUNCTIONS):
        function.close()


def _forget_all() -> None:
    for function in list(_FUNCTIONS):
        function._forget()


if hasattr(os, "register_at_fork"):  # a forked process must not use its parent's pipes
    os.register_at_fork(after_in_child=_forget_all)


class _OutOfTimeError(LimitedCallError):
    """The time did not suffice."""


class _ProcessEndedError(Exception):
    """The process ended before it answered."""


class _Process:
    """One process that answers one task after another."""

    def __init__(self, module: str, function: str, limits: Limits) -> None:
        self._stderr: IO[bytes] = TemporaryFile()  # noqa: SIM115  # a full pipe would block the process
        self.timed_out = False
        served_limits = (limits.memory, limits.seconds, limits.file_bytes)
        self._process = subprocess.Popen(
            helper_command(serve.__module__, serve.__name__, module, function, *served_limits),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **WORKER_VARIABLES},
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def exchange(self, task: bytes, limits: Limits) -> bytes:
        """Send a task and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stderr.seek(0)  # for the process too, whose file it is
        self._stderr.truncate()
        timer = Timer(_WALL_FACTOR * limits.seconds, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            with suppress(BrokenPipeError):  # then there is no answer either
                write_frame(self._process.stdin, task)
            answer = read_frame(self._process.stdout, len(ANSWERED) + limits.answer_bytes)
        except FrameTooLongError:
            raise LimitedCallError(f"its answer has more than {limits.answer_bytes:,} bytes") from None
        finally:
            timer.cancel()
        if answer is None:
            self._wait_for_end()
            raise _ProcessEndedError
        return answer

    def _wait_for_end(self) -> None:
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            raise LimitedCallError("the process that reads it gave no answer") from None

    def _time_out(self) -> None:
        self.timed_out = True
        self._process.kill()

    def reason(self, limits: Limits) -> LimitedCallError:
        """Why the process ended without an answer."""
        code = self._process.returncode
        if self.timed_out or (code < 0 and -code == getattr(signal, "SIGXCPU", 0)):
            return _OutOfTimeError(f"it takes more than {limits.seconds} s", exceeds_limits=True)
        if code < 0:
            return LimitedCallError(f"the library that reads it ended with signal {-code}")
        return LimitedCallError(f"the process that reads it ended with status {code} and no answer{self._last_line}")

    def kill(self) -> None:
        """End the process, and close what leads to it."""
        self._process.kill()
        self._process.wait()
        self._last_line = self._read_last_line()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with suppress(OSError):  # a task that was not read is still to be written
                    stream.close()

    def _read_last_line(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1][:200]})" if lines else ""
