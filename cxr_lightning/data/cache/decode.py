"""Decodes and resizes images into rows of a file, in this or in other processes.

Imports little, so that a process starts quickly.
"""

import json
import sys
import zlib
from collections.abc import Callable, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any

from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import Interpolation, read_image, resize
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.subprocesses import run_in_processes, useful_processes

DecodeResult = dict[str, Any]
"""The outcome for one image: its ``row``, and ``crc32`` and ``flags`` (code and message of each), or ``reason``,
``remedy`` and ``permanent`` if rejected."""


def decode_images(
    images: Sequence[tuple[Path, int]],
    pixels: Path,
    size: int,
    interpolation: Interpolation,
    *,
    force: bool = False,
    workers: int,
    on_result: Callable[[DecodeResult], object],
) -> None:
    """Decode and resize images, and write their pixels.

    Args:
        images: Files, and the row of each.
        pixels: The file of rows, which must exist.
        size: Side in pixels.
        interpolation: How to resize.
        force: Decode DICOM files although their headers state that they are no chest radiographs.
        workers: Maximum number of processes; 1 for this process.
        on_result: Called after each image.

    Raises:
        OSError: If the pixels cannot be written.
        RuntimeError: If a process fails.
    """
    processes = useful_processes(len(images), workers)
    if processes == 1:
        _fill_rows(images, pixels, size, interpolation, force, on_result)
        return
    settings = {"pixels": str(pixels), "size": size, "interpolation": interpolation, "force": force}
    plain = [(str(path), row) for path, row in images]
    tasks = [json.dumps({**settings, "images": plain[start::processes]}) for start in range(processes)]

    def on_line(line: str) -> None:
        try:
            result = json.loads(line)
        except ValueError:
            raise ChildProcessError(
                f"Expected an answer of a worker process but got '{shorten(line)}'. Start again: what was "
                "finished is kept."
            ) from None
        if "failed" in result:
            raise OSError(*result["failed"])
        on_result(result)

    run_in_processes(__name__, run_decode_worker.__name__, tasks, on_line)


def _fill_rows(
    images: Sequence[tuple[Path, int]],
    pixels: Path,
    size: int,
    interpolation: Interpolation,
    force: bool,
    on_result: Callable[[DecodeResult], object],
) -> None:
    with pixels.open("r+b", buffering=0) as file:
        for path, row in images:
            try:
                image = read_image(path, force=force)
            except ImageRejectedError as error:
                details = {"reason": error.reason, "remedy": error.remedy, "permanent": error.permanent}
                on_result({"row": row, **details})
                continue
            content = resize(image.pixels, size, interpolation).tobytes()
            file.seek(row * len(content))
            _write_all(file, content)
            flags = [tuple(flag) for flag in find_quality_flags(image, size)]
            on_result({"row": row, "crc32": zlib.crc32(content), "flags": flags})


def _write_all(file: RawIOBase, content: bytes) -> None:
    """Write in several steps where needed: a disk that is nearly full accepts a part, and refuses the next."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def run_decode_worker() -> None:
    """Read a task from standard input, and write a line of JSON after each image; runs in the other processes."""

    def write_line(result: DecodeResult) -> None:
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()

    task = json.loads(sys.stdin.read())
    images = [(Path(path), row) for path, row in task["images"]]
    try:
        _fill_rows(images, Path(task["pixels"]), task["size"], task["interpolation"], task["force"], write_line)
    except OSError as error:
        write_line({"failed": [error.errno, error.strerror]})
