"""Work in other processes, each a fresh interpreter that reads one task and answers line by line.

Not a ``ProcessPoolExecutor``: its safe start methods import the caller's main script again in each worker (seconds for
one that imports torch, and an error for one without a ``__main__`` guard), and plain forking is unsafe once torch has
started threads.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

import cxr_lightning

_QUICK_ARRAYS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "100000000",  # glibc keeps freed arrays instead of returning them: a quarter less time
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def check_workers(workers: int) -> int:
    """The number, if it is one of processes.

    Raises:
        ValueError: If it is below 1.
    """
    if workers < 1:
        raise ValueError(
            f"Expected the number of worker processes to be at least 1 but got {workers}. "
            "1 works in this process; without the setting there is one per core."
        )
    return workers


def run_in_processes(module: str, function: str, tasks: Sequence[str], answered: Callable[[str], object]) -> None:
    """Run a function in one process per task.

    Args:
        module: Where the function is.
        function: Takes nothing: it reads its task from stdin, and writes lines to stdout.
        tasks: What each process reads.
        answered: Given each line that a process writes, without its end; never called twice at once.

    Raises:
        ChildProcessError: If a process was ended from outside, as for want of memory.
        RuntimeError: If a process fails; its message is passed on.
    """
    code = f"from {module} import {function}; {function}()"
    turn = Lock()

    def answer(line: str) -> None:
        with turn:
            answered(line)

    with ThreadPoolExecutor(len(tasks)) as threads, _processes(code, len(tasks)) as processes:  # processes end first
        pairs = zip(processes, tasks, strict=True)
        for outcome in as_completed([threads.submit(_follow, *process, task, answer) for process, task in pairs]):
            outcome.result()


@contextmanager
def _processes(code: str, count: int) -> Iterator[list[tuple["subprocess.Popen[str]", IO[str]]]]:
    """Started interpreters and where each writes its messages; ended when the block is left for whatever reason."""
    package_root = str(Path(cxr_lightning.__file__).parent.parent)
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **_QUICK_ARRAYS}
    # A file each: a pipe that nobody reads yet would stop a process that says much (libtiff does, of damaged files).
    files = [TemporaryFile("w+", encoding="utf-8", errors="replace") for _ in range(count)]  # noqa: SIM115
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        for messages in files
    ]
    try:
        yield list(zip(processes, files, strict=True))
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        for file in files:
            file.close()


def _follow(process: "subprocess.Popen[str]", messages: IO[str], task: str, answered: Callable[[str], object]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # a process that died says why below
        process.stdin.write(task)
        process.stdin.close()
    for line in process.stdout:
        answered(line.rstrip("\n"))
    if process.wait() < 0:
        raise ChildProcessError(
            f"Expected a worker process to finish but it was ended by signal {-process.returncode}. "
            "Free memory if that is what it lacked, and start again: what was finished is kept."
        )
    if process.returncode != 0:
        messages.seek(0)
        message = messages.read()
        raise RuntimeError(
            f"Expected a worker process to finish but it ended with status {process.returncode}: {message[-2000:]} "
            "Use workers=1 to see the error where it happens."
        )
