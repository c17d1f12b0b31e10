"""Drawing of images in this process or in others."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_lightning.phantom.files import write_phantom_image
from cxr_lightning.phantom.patients import PhantomRow
from cxr_lightning.phantom.render import PatientImage, draw_patient_image
from cxr_lightning.phantom.spec import PhantomSpec
from cxr_lightning.utils.subprocesses import run_in_processes


def image_identity(spec: PhantomSpec, name: str) -> str:
    """Text inside an image file that names its set and row."""
    return f"{spec.name} {name}"


def draw_rows_to_files(
    folder: Path, spec: PhantomSpec, rows: Sequence[PhantomRow], on_image: Callable[[], object]
) -> None:
    """Draw and write the images of some rows in this process.

    Args:
        folder: Folder of the PNGs.
        spec: Choices that determine the set.
        rows: Rows to draw.
        on_image: Called after each image.
    """
    for row in rows:
        pixels, boxes = draw_patient_image(row.image, spec.seed, spec.image_size)
        write_phantom_image(folder / row.name, pixels, boxes, image_identity(spec, row.name))
        on_image()


def draw_in_processes(
    folder: Path, spec: PhantomSpec, rows: Sequence[PhantomRow], on_image: Callable[[], object], workers: int
) -> None:
    """Draw and write the images of some rows in ``workers`` other processes.

    Raises:
        RuntimeError: If a process fails; its message is passed on.
    """
    tasks = [_task(folder, spec, rows[start::workers]) for start in range(workers)]
    run_in_processes(__name__, draw_task_from_stdin.__name__, tasks, lambda _: on_image())


def _task(folder: Path, spec: PhantomSpec, rows: Sequence[PhantomRow]) -> str:
    return json.dumps({"folder": str(folder), "spec": asdict(spec), "rows": [asdict(row) for row in rows]})


def _read_task(text: str) -> tuple[Path, PhantomSpec, list[PhantomRow]]:
    task: dict[str, Any] = json.loads(text)
    rows = []
    for row in task["rows"]:
        image = {**row["image"], "findings": tuple(row["image"]["findings"])}
        rows.append(PhantomRow(PatientImage(**image), tuple(row["listed"])))
    return Path(task["folder"]), PhantomSpec(**task["spec"]), rows


def draw_task_from_stdin() -> None:
    """Read a task from stdin, draw its images, and write an empty line to stdout after each (in a worker process)."""
    folder, spec, rows = _read_task(sys.stdin.read())
    draw_rows_to_files(folder, spec, rows, lambda: sys.stdout.write("\n") and sys.stdout.flush())
