"""Draws pictures in this or in other processes."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_lightning.phantom.files import write_picture
from cxr_lightning.phantom.patients import Row
from cxr_lightning.phantom.render import PatientImage, draw_patient_image
from cxr_lightning.phantom.spec import PhantomSpec
from cxr_lightning.utils.subprocesses import run_in_processes


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
    run_in_processes(__name__, serve.__name__, tasks, lambda _: done())


def _task(folder: Path, spec: PhantomSpec, rows: Sequence[Row]) -> str:
    return json.dumps({"folder": str(folder), "spec": asdict(spec), "rows": [asdict(row) for row in rows]})


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
