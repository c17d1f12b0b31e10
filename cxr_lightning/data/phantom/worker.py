"""Draws pictures in this or in other processes.

Other processes are fresh interpreters that run `serve`, not a `ProcessPoolExecutor`: its safe start methods import
the caller's main script again in each worker (seconds for one that imports torch, and an error for one without a
``__main__`` guard), and plain forking is unsafe once torch has started threads.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cxr_lightning
from cxr_lightning.data.phantom.files import write_picture
from cxr_lightning.data.phantom.patients import Row
from cxr_lightning.data.phantom.render import PatientImage, draw_patient_image
from cxr_lightning.data.phantom.spec import PhantomSpec

_QUICK_ARRAYS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "100000000",  # glibc keeps freed arrays instead of returning them: a quarter less time
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


def owner(spec: PhantomSpec, name: str) -> str:
    """What a picture of this set and row calls itself."""
    return f"{spec.name} {name}"


def draw_rows_to_files(folder: Path, spec: PhantomSpec, rows: Sequence[Row], done: Callable[[], object]) -> None:
    """Draws and writes the pictures of some rows in this process.

    Args:
        folder: Where the PNGs go.
        spec: The set.
        rows: What to draw.
        done: Called after each picture.
    """
    for row in rows:
        pixels, boxes = draw_patient_image(row.image, spec.seed, spec.image_size)
        write_picture(folder / row.name, pixels, boxes, owner(spec, row.name))
        done()


def draw_in_processes(
    folder: Path, spec: PhantomSpec, rows: Sequence[Row], done: Callable[[], object], workers: int
) -> None:
    """The same in ``workers`` other processes.

    Raises:
        RuntimeError: If a process fails; its message is passed on.
    """
    tasks = [_task(folder, spec, rows[start::workers]) for start in range(workers)]
    with ThreadPoolExecutor(workers) as threads, _processes(workers) as processes:  # processes end before threads
        for outcome in [threads.submit(_follow, *pair, done) for pair in zip(processes, tasks, strict=True)]:
            outcome.result()


def _task(folder: Path, spec: PhantomSpec, rows: Sequence[Row]) -> str:
    return json.dumps({"folder": str(folder), "spec": asdict(spec), "rows": [asdict(row) for row in rows]})


@contextmanager
def _processes(count: int) -> Iterator[list["subprocess.Popen[str]"]]:
    """Started interpreters, ended when the block is left for whatever reason."""
    package_root = str(Path(cxr_lightning.__file__).parent.parent)
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **_QUICK_ARRAYS}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def _follow(process: "subprocess.Popen[str]", task: str, done: Callable[[], object]) -> None:
    """Hands over a task and reports each line that comes back, one a picture."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with suppress(BrokenPipeError):  # a process that died says why below
        process.stdin.write(task)
        process.stdin.close()
    for _ in process.stdout:
        done()
    message = process.stderr.read()
    if process.wait() != 0:
        raise RuntimeError(
            f"Expected a drawing process to finish but it ended with status {process.returncode}: {message[-2000:]} "
            "Free disk space or memory if that is what it lacks, or use workers=1 to see the error where it happens."
        )


def _read_task(text: str) -> tuple[Path, PhantomSpec, list[Row]]:
    task: dict[str, Any] = json.loads(text)
    rows = []
    for row in task["rows"]:
        image = {**row["image"], "findings": tuple(row["image"]["findings"])}
        rows.append(Row(PatientImage(**image), tuple(row["listed"])))
    return Path(task["folder"]), PhantomSpec(**task["spec"]), rows


def serve() -> None:
    """What a drawing process does: reads a task, draws, and writes an empty line after each picture."""
    folder, spec, rows = _read_task(sys.stdin.read())
    draw_rows_to_files(folder, spec, rows, lambda: sys.stdout.write("\n") and sys.stdout.flush())
