"""HDF5 files as names, shapes and arrays, read in a separate process that may crash without harm."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.utils.subprocesses import helper_environment

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_TIMEOUT_SECONDS = 60
_WORKER = "cxr_lightning.checkpoints.foreign.hdf5_worker"


@dataclass(frozen=True)
class HDF5Contents:
    """The groups and datasets of an HDF5 file, without their numbers.

    Attributes:
        shapes: Shape of every dataset, by path.
        attributes: Attributes that are text or lists of text, by path of the group and by name, for every group; those
            of the file itself are under the path ``""``.
    """

    shapes: dict[str, tuple[int, ...]]
    attributes: dict[str, dict[str, Any]]


def list_contents(path: Path, *, display_path: Path | None = None) -> HDF5Contents:
    """List the groups and datasets of an HDF5 file; no numbers are read.

    Args:
        path: The file.
        display_path: Path that messages name instead, if the file was unpacked from another.

    Raises:
        ValueError: If it is damaged, or holds anything but plain floating-point datasets: links, external or
            virtual datasets, objects, sizes that the file cannot have.
    """
    content = json.loads(_run_worker(display_path or path, [str(path)], ""))
    shapes = {name: tuple(shape) for name, shape in content["datasets"].items()}
    return HDF5Contents(shapes, content["attributes"])


def read_arrays(path: Path, names: Sequence[str], *, display_path: Path | None = None) -> list[NDArray[np.float32]]:
    """Read the numbers of some datasets as float32.

    Args:
        path: A file that :func:`list_contents` accepted.
        names: Paths of datasets in it.
        display_path: Path that messages name instead, if the file was unpacked from another.

    Raises:
        ValueError: If they cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        _run_worker(display_path or path, [str(path), str(out)], json.dumps(list(names)))
        with np.load(out, allow_pickle=False) as archive:
            arrays = [archive[str(number)] for number in range(len(names))]
    return arrays


def _run_worker(display_path: Path, arguments: list[str], stdin: str) -> str:
    """Run :mod:`~cxr_lightning.checkpoints.foreign.hdf5_worker` and return what it prints."""
    try:
        done = subprocess.run(
            # -P: import nothing from the current folder, where a file may be called h5py.py.
            [sys.executable, "-P", "-m", _WORKER, *arguments],
            env=helper_environment(OPENBLAS_NUM_THREADS="1"),  # more threads would only take memory
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(_refusal(display_path, f"reading it took longer than {_TIMEOUT_SECONDS} s")) from None
    if done.returncode == 0:
        return done.stdout
    reason = done.stderr.strip().splitlines()[-1:] or [""]
    if done.returncode < 0:
        reason = [f"it is damaged (the HDF5 library ended with signal {-done.returncode})"]
    raise ValueError(_refusal(display_path, reason[0]))


def _refusal(display_path: Path, reason: str) -> str:
    return f"Expected an HDF5 file with weights in '{display_path}' but {reason}. Download or save it again."
