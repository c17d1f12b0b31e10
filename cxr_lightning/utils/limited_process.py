"""Calls of a function in a process with limited memory and time, for files that may crash or stall a library.

Libraries written in C decode what other people's files hold. In a process of its own a damaged or hostile file ends
that process alone, and takes no more memory and time than the limits allow.
"""

import atexit
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from tempfile import TemporaryFile
from threading import Lock, Timer
from typing import IO

from cxr_lightning.utils.subprocesses import WORKER_VARIABLES, helper_command

try:
    import resource
except ImportError:  # Windows, where only the time is limited
    resource = None  # type: ignore[assignment]

_LENGTH_BYTES = 8
_ANSWERED, _FAILED = b"a", b"f"
_WALL_FACTOR = 4
"""Ratio of the time on the clock to the processor time after which a call is ended: the machine may be busy."""


@dataclass(frozen=True)
class Limits:
    """What a call may take.

    Attributes:
        memory: Bytes of memory of the process, with the libraries that it imports.
        seconds: Seconds of processor time.
    """

    memory: int
    seconds: int


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
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):  # a forked process must not use its parent's pipes
            os.register_at_fork(after_in_child=self._forget)

    def __call__(self, task: bytes) -> bytes:
        """Call the function.

        Args:
            task: Its argument.

        Raises:
            LimitedCallError: If it raises an exception, exceeds a limit, or its process ends.
        """
        process = self._take()
        try:
            answer = process.exchange(task, self.limits)
        except BaseException as error:
            process.kill()
            if isinstance(error, _ProcessEndedError):
                raise process.reason(self.limits) from None
            raise
        with self._lock:
            self._idle.append(process)
        if answer[:1] == _FAILED:
            content = json.loads(answer[1:])
            raise LimitedCallError(content["reason"], exceeds_limits=content["exceeds_limits"])
        return answer[1:]

    def close(self) -> None:
        """End the processes that are kept."""
        with self._lock:
            while self._idle:
                self._idle.pop().kill()

    def _take(self) -> "_Process":
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive():
                    return process
                process.kill()
        return _Process(self.module, self.function, self.limits)

    def _forget(self) -> None:
        self._idle, self._lock = [], Lock()


class _ProcessEndedError(Exception):
    """The process ended before it answered."""


class _Process:
    """One process that answers one task after another."""

    def __init__(self, module: str, function: str, limits: Limits) -> None:
        self._stderr: IO[bytes] = TemporaryFile()  # noqa: SIM115  # a full pipe would block the process
        self._timed_out = False
        self._process = subprocess.Popen(
            helper_command(__name__, serve.__name__, module, function, limits.memory, limits.seconds),
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
        timer = Timer(_WALL_FACTOR * limits.seconds, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            with suppress(BrokenPipeError):  # then there is no answer either
                _write_frame(self._process.stdin, task)
            answer = _read_frame(self._process.stdout)
        finally:
            timer.cancel()
        if answer is None:
            self._process.wait()
            raise _ProcessEndedError
        return answer

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def reason(self, limits: Limits) -> LimitedCallError:
        """Why the process ended without an answer."""
        code = self._process.returncode
        if self._timed_out or code == -getattr(signal, "SIGXCPU", 0):
            return LimitedCallError(f"it takes more than {limits.seconds} s", exceeds_limits=True)
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


def serve(module: str, name: str, memory: int, seconds: int) -> None:
    """Answer the tasks on stdin until it ends; runs in the process of a :class:`LimitedFunction`.

    Args:
        module: Module that holds the function.
        name: Name of the function.
        memory: See :class:`Limits`.
        seconds: See :class:`Limits`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that waits for the answer decides
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    function: Callable[[bytes], bytes] = getattr(import_module(module), name)
    _limit_memory(memory)
    while (task := _read_frame(tasks)) is not None:
        _limit_time(seconds)
        answer = _answer(function, task, memory)
        del task
        _write_frame(answers, answer)


def _answer(function: Callable[[bytes], bytes], task: bytes, memory: int) -> bytes:
    try:
        return _ANSWERED + function(task)
    except MemoryError:
        reason, exceeds_limits = f"it takes more than {memory >> 20:,} MiB of memory", True
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        reason, exceeds_limits = f"{type(error).__name__}{': ' if text else ''}{text}", False
    return _FAILED + json.dumps({"reason": reason, "exceeds_limits": exceeds_limits}).encode()


def _limit_memory(memory: int) -> None:
    if resource is None:
        return
    with suppress(ValueError, OSError):  # a lower limit is set already, or the system has none of this kind
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _limit_time(seconds: int) -> None:
    """Have the system end this process when it has used some more seconds."""
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with suppress(ValueError, OSError):
        limit = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _write_frame(stream: IO[bytes], content: bytes) -> None:
    stream.write(len(content).to_bytes(_LENGTH_BYTES))
    stream.write(content)
    stream.flush()


def _read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame; None at the stream's end, or where it is cut off."""
    head = stream.read(_LENGTH_BYTES)
    length = int.from_bytes(head)
    content = stream.read(length)
    return content if len(head) == _LENGTH_BYTES and len(content) == length else None
