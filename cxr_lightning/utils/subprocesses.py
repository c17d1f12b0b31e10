"""Work in other processes, each a fresh interpreter that reads one task and writes its results line by line.

Not a ``ProcessPoolExecutor``: its safe start methods import the caller's main script again in each worker (seconds for
one that imports torch, and an error for one without a ``__main__`` guard), and plain forking is unsafe once torch has
started threads.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

from cxr_lightning.utils import helper_program

WORKER_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "100000000",  # glibc keeps freed arrays instead of returning them: a quarter less time
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "67108864",
}
"""Environment variables of a helper process, beside those of this process."""
IMAGES_PER_PROCESS = 32
"""Fewer images than this are not worth a further process, which starts in half a second."""
_EXIT_OS_ERROR = 74
"""Exit status of a process that got an error of the system, as of other programs (``EX_IOERR``)."""
_FINISHED = "\x04"
"""Last line of a process whose function has returned."""


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def useful_processes(images: int, workers: int) -> int:
    """Number of processes, of at most ``workers``, that decode or draw images soonest; 1 stands for this process."""
    return max(1, min(workers, math.ceil(images / IMAGES_PER_PROCESS)))


def check_workers(workers: int) -> int:
    """Check a number of worker processes, and return it.

    Raises:
        ValueError: If it is below 1.
    """
    if workers < 1:
        raise ValueError(
            f"Expected the number of worker processes to be at least 1 but got {workers}. "
            "1 works in this process; without the setting there is one per core."
        )
    return workers


def helper_command(module: str, function: str, *values: object) -> list[str]:
    r"""Command of an isolated Python process that calls a function of the same copy of this package.

    Such a process takes no module from the current folder, and ignores ``PYTHON*`` variables. It may import from where
    this process may.

    Args:
        module: Module that holds the function.
        function: Name of the function.
        *values: Its arguments, as types of JSON.

    Example:
        >>> import subprocess
        >>> subprocess.run(helper_command("builtins", "print", 7), capture_output=True, text=True).stdout
        '7\n'
    """
    call = {"paths": _import_paths(), "module": module, "function": function, "values": values}
    options = ["-I", "-X", "utf8", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *options, helper_program.__file__, json.dumps(call)]


def _import_paths() -> list[str]:
    """The places from which this process imports, without the current folder."""
    absolute = [path for path in sys.path if Path(path).is_absolute()]
    return [path for path in absolute if not _is_current_folder(path)]


def _is_current_folder(path: str) -> bool:
    try:
        return Path(path).samefile(os.curdir)
    except OSError:  # one of them does not exist
        return False


def run_in_processes(module: str, function: str, tasks: Sequence[str], handle_line: Callable[[str], object]) -> None:
    """Run a function in one process per task.

    Args:
        module: Module that holds the function.
        function: Name of a function without arguments, which reads its task from stdin and writes lines to stdout.
        tasks: Text on each process's stdin.
        handle_line: Called with each line that a process writes, without its line end; calls never overlap.

    Raises:
        ChildProcessError: If a process ended before its function did, for example because memory ran out.
        OSError: If a process got one from the system, such as that the disk is full.
        RuntimeError: If a process fails otherwise; its message is passed on.
    """
    command = helper_command(__name__, run_task_function.__name__, module, function)
    lock = Lock()

    def handle_line_alone(line: str) -> None:
        with lock:
            handle_line(line)

    with ThreadPoolExecutor(len(tasks)) as threads, _processes(command, len(tasks)) as processes:  # processes end first
        pairs = zip(processes, tasks, strict=True)
        futures = [threads.submit(_run_task, *process, task, handle_line_alone) for process, task in pairs]
        for future in as_completed(futures):
            future.result()


def run_task_function(module: str, function: str) -> None:
    """Run a function in a process of :func:`run_in_processes`; an error of the system is passed on."""
    try:
        getattr(import_module(module), function)()
        print(_FINISHED, flush=True)
    except OSError as error:
        if error.errno is None:
            raise
        print("\n" + json.dumps([error.errno, error.strerror, error.filename], default=str), file=sys.stderr)
        sys.exit(_EXIT_OS_ERROR)


@contextmanager
def _processes(command: Sequence[str], count: int) -> Iterator[list[tuple["subprocess.Popen[str]", IO[str]]]]:
    """Started interpreters, each with the file of its stderr; they are ended when the block is left for any reason."""
    # Files rather than pipes: a full pipe blocks a process that writes much, as libtiff does for damaged files.
    files: list[IO[str]] = []
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(count):
            files.append(TemporaryFile("w+", encoding="utf-8", errors="replace"))  # noqa: SIM115
            processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=files[-1],
                    text=True,
                    encoding="utf-8",
                    env={**os.environ, **WORKER_VARIABLES},
                )
            )
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


def _run_task(
    process: "subprocess.Popen[str]", stderr: IO[str], task: str, handle_line: Callable[[str], object]
) -> None:
    """Send a process its task, pass on its lines, and raise an error if it fails."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # the error of a process that has died is raised below
        process.stdin.write(task)
        process.stdin.close()
    has_finished = False
    for line in process.stdout:
        if line == f"{_FINISHED}\n":
            has_finished = True
        else:
            handle_line(line.rstrip("\n"))
    if process.wait() < 0:
        raise ChildProcessError(
            f"Expected a worker process to finish but it was ended by signal {-process.returncode}. "
            "Free memory if that is what it lacked, and start again: what was finished is kept."
        )
    if process.returncode != 0:
        stderr.seek(0)
        message = stderr.read()
        if process.returncode == _EXIT_OS_ERROR:
            raise OSError(*json.loads(message.splitlines()[-1]))
        raise RuntimeError(
            f"Expected a worker process to finish but it ended with status {process.returncode}: {message[-2000:]} "
            "Use workers=1 to see the error where it happens."
        )
    if not has_finished:
        raise ChildProcessError(
            "Expected a worker process to finish but it ended without an answer. Start again: what was finished is "
            "kept."
        )
