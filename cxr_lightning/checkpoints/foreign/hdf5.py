"""HDF5 files as names, shapes and arrays, read in a process of their own that may crash without harm."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SECONDS = 60
_READER = "cxr_lightning.checkpoints.foreign.hdf5_reader"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Contents:
    """What is in a file.

    Attributes:
        shapes: Of every dataset, by path.
        attributes: Text, or lists of text, by path of the group and name, for every group; the file's own under the
            path ``""``.
    """

    shapes: dict[str, tuple[int, ...]]
    attributes: dict[str, dict[str, Any]]


def list_contents(path: Path, *, origin: Path | None = None) -> Contents:
    """What is in an HDF5 file; no number is read.

    Args:
        path: The file.
        origin: What messages call it, if it is a part of another.

    Raises:
        ValueError: If it is damaged, or holds anything but plain floating-point datasets of its own: links, external or
            virtual datasets, objects, sizes that the file cannot have.
    """
    content = json.loads(_run(origin or path, [str(path)], ""))
    shapes = {name: tuple(shape) for name, shape in content["datasets"].items()}
    return Contents(shapes, content["attributes"])


def read_arrays(path: Path, names: Sequence[str], *, origin: Path | None = None) -> list[Array]:
    """The numbers of some datasets as float32.

    Args:
        path: A file that :func:`list_contents` accepted.
        names: Paths of datasets in it.
        origin: What messages call it, if it is a part of another.

    Raises:
        ValueError: If they cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        _run(origin or path, [str(path), str(out)], json.dumps(list(names)))
        with np.load(out, allow_pickle=False) as archive:
            arrays = [archive[str(number)] for number in range(len(names))]
    return arrays


def _run(path: Path, arguments: list[str], given: str) -> str:
    try:
        done = subprocess.run(
            # -P: not from the folder that one happens to be in, where a file may be called h5py.py
            [sys.executable, "-P", "-m", _READER, *arguments],
            env=_environment(),
            input=given,
            capture_output=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(_refusal(path, f"reading it took longer than {_SECONDS} s")) from None
    if done.returncode == 0:
        return done.stdout
    reason = done.stderr.strip().splitlines()[-1:] or [""]
    if done.returncode < 0:
        reason = [f"it is damaged (the HDF5 library ended with signal {-done.returncode})"]
    raise ValueError(_refusal(path, reason[0]))


def _environment() -> dict[str, str]:
    """Ours, with this very package in the path, and one thread: more would only take memory."""
    package = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def _refusal(path: Path, reason: str) -> str:
    return f"Expected an HDF5 file with weights in '{path}' but {reason}. Download or save it again."
