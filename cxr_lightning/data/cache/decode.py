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
from cxr_lightning.imaging.reader import Interpolation, read_grey, resize
from cxr_lightning.utils.subprocesses import run_in_processes

_PER_PROCESS = 32
"""Fewer images than this are not worth another process."""

Answer = dict[str, Any]
"""About one image: its ``row``, and ``crc32``, or ``reason``, ``remedy`` and ``lasting`` if it was rejected."""


def decode(
    images: Sequence[tuple[Path, int]],
    pixels: Path,
    size: int,
    interpolation: Interpolation,
    *,
    workers: int,
    done: Callable[[Answer], object],
) -> None:
    """Decode, resize and write images.

    Args:
        images: Files, and the row of each.
        pixels: The file of rows, which is there.
        size: Side in pixels.
        interpolation: How to resize.
        workers: Processes at most; 1 for this process.
        done: Called after each image.

    Raises:
        OSError: If the pixels cannot be written.
        RuntimeError: If a process fails.
    """
    processes = min(workers, 1 + len(images) // _PER_PROCESS)
    if processes == 1:
        _fill_rows(images, pixels, size, interpolation, done)
        return
    settings = {"pixels": str(pixels), "size": size, "interpolation": interpolation}
    plain = [(str(path), row) for path, row in images]
    tasks = [json.dumps({**settings, "images": plain[start::processes]}) for start in range(processes)]

    def answered(line: str) -> None:
        answer = json.loads(line)
        if "failed" in answer:
            raise OSError(*answer["failed"])
        done(answer)

    run_in_processes(__name__, serve.__name__, tasks, answered)


def _fill_rows(
    images: Sequence[tuple[Path, int]],
    pixels: Path,
    size: int,
    interpolation: Interpolation,
    done: Callable[[Answer], object],
) -> None:
    with pixels.open("r+b", buffering=0) as file:
        for path, row in images:
            try:
                content = resize(read_grey(path), size, interpolation).tobytes()
            except ImageRejectedError as rejection:
                told = {"reason": rejection.reason, "remedy": rejection.remedy, "lasting": rejection.lasting}
                done({"row": row, **told})
                continue
            file.seek(row * len(content))
            _write(file, content)
            done({"row": row, "crc32": zlib.crc32(content)})


def _write(file: RawIOBase, content: bytes) -> None:
    """All of it; a disk that is nearly full takes a part, and refuses the next."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def serve() -> None:
    """What a process does: reads its task, and writes an answer as a line of JSON after each image."""

    def tell(answer: Answer) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    task = json.loads(sys.stdin.read())
    images = [(Path(path), row) for path, row in task["images"]]
    try:
        _fill_rows(images, Path(task["pixels"]), task["size"], task["interpolation"], tell)
    except OSError as error:
        tell({"failed": [error.errno, error.strerror]})
