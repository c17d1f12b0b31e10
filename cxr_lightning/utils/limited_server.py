"""The other side of :mod:`cxr_lightning.utils.limited_process`: answers tasks with limited memory and time."""

import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

try:
    import resource
except ImportError:  # Windows, where only the time on the clock is limited
    resource = None  # type: ignore[assignment]

ANSWERED, LAST_ANSWER, FAILED, OUT_OF_MEMORY = b"a", b"l", b"f", b"m"
"""What an answer begins with; after the last one the process is not to be kept."""
_LENGTH_BYTES = 8
_MAX_HELD_FRACTION = 0.33
"""Fraction of the memory limit above which what a process still holds would be missing for the next task."""
_MEMORY_FILE = Path("/proc/self/statm")
_RESIDENT, _DATA = 1, 5
"""Places in that file of what the process holds in memory, and of what the limit counts."""


class FrameTooLongError(ValueError):
    """An answer with more bytes than are accepted."""


def serve(module: str, name: str, memory: int, seconds: int, file_bytes: int | None) -> None:
    """Answer the tasks on stdin until it ends.

    Args:
        module: Module that holds the function.
        name: Name of the function.
        memory: See :class:`~cxr_lightning.utils.limited_process.Limits`.
        seconds: See :class:`~cxr_lightning.utils.limited_process.Limits`.
        file_bytes: See :class:`~cxr_lightning.utils.limited_process.Limits`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that waits for the answer decides
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    function: Callable[[bytes], bytes] = getattr(import_module(module), name)
    _limit_memory(memory)
    _limit_files(file_bytes)
    at_first = _memory(_DATA)
    while (task := read_frame(tasks)) is not None:
        _limit_time(seconds)
        answer = _answer(function, task, memory)
        del task
        write_frame(answers, answer)
        del answer
        held = min(max(0, _memory(_DATA) - at_first), int(_MAX_HELD_FRACTION * memory))
        _limit_memory(memory + held)  # the next task has as much as the first


def _answer(function: Callable[[bytes], bytes], task: bytes, memory: int) -> bytes:
    try:
        answer = function(task)
    except MemoryError:
        return OUT_OF_MEMORY
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        return FAILED + f"{type(error).__name__}{': ' if text else ''}{text}".encode(errors="replace")
    return (LAST_ANSWER if _memory(_RESIDENT) > _MAX_HELD_FRACTION * memory else ANSWERED) + answer


def _memory(place: int) -> int:
    """Bytes of memory of this process, which it may have freed; 0 where the system does not tell."""
    try:
        return int(_MEMORY_FILE.read_text().split()[place]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 0


def _limit_memory(memory: int) -> None:
    if resource is None:
        return
    with suppress(ValueError, OSError):  # a lower limit is set already, or the system has none of this kind
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _limit_files(file_bytes: int | None) -> None:
    if resource is None or file_bytes is None:
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def _limit_time(seconds: int) -> None:
    """Have the system end this process when it has used some more seconds."""
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with suppress(ValueError, OSError):
        limit = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Write some bytes after their number."""
    stream.write(len(content).to_bytes(_LENGTH_BYTES))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes], max_bytes: int | None = None) -> bytes | None:
    """Read what the other side wrote next; None at the stream's end, or where it is cut off.

    Raises:
        FrameTooLongError: If it has more than ``max_bytes`` bytes; they are not read.
    """
    head = stream.read(_LENGTH_BYTES)
    length = int.from_bytes(head)
    if max_bytes is not None and length > max_bytes:
        raise FrameTooLongError
    content = stream.read(length)
    return content if len(head) == _LENGTH_BYTES and len(content) == length else None
