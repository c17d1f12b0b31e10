"""Build the synthetic set on disk, finish an interrupted build, or repair a damaged set."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import JsonValue

from cxr_lightning.phantom.boxes import PhantomBox
from cxr_lightning.phantom.files import read_planted_boxes
from cxr_lightning.phantom.patients import PhantomRow, draw_rows
from cxr_lightning.phantom.spec import GENERATOR_VERSION, PhantomSpec
from cxr_lightning.phantom.tables import BOX_TABLE_FILE, TABLE_FILES, box_table_text, table_texts
from cxr_lightning.phantom.worker import draw_in_processes, draw_rows_to_files, image_identity
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.progress import progress_bar
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.subprocesses import check_workers, usable_cores, useful_processes
from cxr_lightning.utils.typed_values import Count, TypedValues

_MARKER_FILE = "phantom.json"
_IMAGE_FOLDER = "images"
_MAX_RECORD_BYTES = 1 << 26

logger = logging.getLogger(__name__)


def build_phantom(root: Path, spec: PhantomSpec, *, workers: int | None = None, progress: bool = True) -> Path:
    """Return the folder of a complete synthetic set in NIH's layout, building it where necessary.

    The same spec gives the same bytes with any number of workers. A complete set is recognized by its marker file,
    which is written last; an interrupted build is finished and a damaged set repaired. Several builders may work on
    one folder at once.

    Args:
        root: Folder that holds one folder per set; created if missing.
        spec: Choices that determine the set.
        workers: Number of drawing processes; None for one per usable core, 1 for this process only.
        progress: Whether to show a progress bar, if the output is a terminal.

    Returns:
        ``root / spec.name``.

    Raises:
        ValueError: If ``workers`` is below 1.
        OSError: If the folder cannot be written.
        RuntimeError: If a drawing process fails.
    """
    workers = usable_cores() if workers is None else check_workers(workers)
    folder = Path(root) / spec.name
    marker = _read_marker(folder)
    if marker is not None and _is_complete(folder, spec, marker):
        return folder
    (folder / _IMAGE_FOLDER).mkdir(parents=True, exist_ok=True)
    train_val, test = draw_rows(spec)
    rows = [*train_val, *test]
    _draw_missing(folder, spec, rows, marker.image_bytes if marker else {}, workers, progress)
    tables = table_texts(spec, train_val, test)
    tables[BOX_TABLE_FILE] = box_table_text(rows, _read_all_boxes(folder, spec, rows))
    for name, text in tables.items():
        with atomic_write_text(folder / name) as file:
            file.write(text)
    _write_marker(folder, spec, rows, tables)
    return folder


def _draw_missing(
    folder: Path, spec: PhantomSpec, rows: Sequence[PhantomRow], sizes: Mapping[str, int], workers: int, progress: bool
) -> None:
    """Draw the images that are missing, truncated, of another set, or not of the recorded size."""
    missing = [row for row in rows if not _is_intact(folder / _IMAGE_FOLDER / row.name, spec, row, sizes)]
    if not missing:
        return
    logger.info("Making %d images of the synthetic set in '%s'.", len(missing), folder)
    with progress_bar("Making the synthetic set", len(missing), shown=progress) as advance:
        processes = useful_processes(len(missing), workers)
        if processes == 1:
            draw_rows_to_files(folder / _IMAGE_FOLDER, spec, missing, advance)
        else:
            draw_in_processes(folder / _IMAGE_FOLDER, spec, missing, advance, processes)
    logger.info("Made the synthetic set in '%s': no patient is shown in it.", folder)


def _is_intact(path: Path, spec: PhantomSpec, row: PhantomRow, sizes: Mapping[str, int]) -> bool:
    if read_planted_boxes(path, image_identity(spec, row.name)) is None:
        return False
    return row.name not in sizes or path.stat().st_size == sizes[row.name]


def _read_all_boxes(folder: Path, spec: PhantomSpec, rows: Sequence[PhantomRow]) -> dict[str, tuple[PhantomBox, ...]]:
    return {
        row.name: read_planted_boxes(folder / _IMAGE_FOLDER / row.name, image_identity(spec, row.name)) or ()
        for row in rows
    }


def _write_marker(folder: Path, spec: PhantomSpec, rows: Sequence[PhantomRow], tables: Mapping[str, str]) -> None:
    content = {
        "synthetic": True,
        "generator_version": GENERATOR_VERSION,
        "spec": asdict(spec),
        "counts": {"train_val": spec.train_val_images, "test": spec.test_images},
        "sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tables.items()},
        "image_bytes": {row.name: (folder / _IMAGE_FOLDER / row.name).stat().st_size for row in rows},
    }
    with atomic_write_text(folder / _MARKER_FILE) as file:
        file.write(json.dumps(content, indent=1))


class _Marker(TypedValues):
    """The marker file of a complete set."""

    generator_version: int
    spec: dict[str, JsonValue]
    sha256: dict[str, str]
    image_bytes: dict[str, Count]


def _read_marker(folder: Path) -> _Marker | None:
    """Content of the marker file; None if it is missing or unreadable."""
    try:
        return _Marker.model_validate(parse_json(read_limited(folder / _MARKER_FILE, _MAX_RECORD_BYTES)))
    except (OSError, ValueError):
        return None


def _is_complete(folder: Path, spec: PhantomSpec, marker: _Marker) -> bool:
    """Whether the marker belongs to this spec and the files are as it records them."""
    if marker.spec != asdict(spec) or marker.generator_version != GENERATOR_VERSION:
        return False
    try:
        found_tables = {name: _sha256(folder / name) for name in TABLE_FILES}
        with os.scandir(folder / _IMAGE_FOLDER) as entries:
            found = {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(".png")}
    except OSError:
        return False
    return found_tables == marker.sha256 and found == marker.image_bytes


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_limited(path, _MAX_RECORD_BYTES)).hexdigest()
