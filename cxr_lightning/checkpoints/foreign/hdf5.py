"""HDF5 files as names, shapes and arrays, read in a separate process that may crash without harm."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_call_worker = LimitedFunction(
    "cxr_lightning.checkpoints.foreign.hdf5_worker",
    "handle_hdf5_task",
    Limits(memory=400 << 20, seconds=15, answer_bytes=64 << 20),
)


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
    content = _run_worker(display_path or path, {"file": str(path.absolute())})
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
        _run_worker(display_path or path, {"file": str(path.absolute()), "names": list(names), "out": str(out)})
        with np.load(out, allow_pickle=False) as archive:
            arrays = [archive[str(number)] for number in range(len(names))]
    return arrays


def _run_worker(display_path: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Have :mod:`~cxr_lightning.checkpoints.foreign.hdf5_worker` do a task, and return its answer."""
    try:
        answer: dict[str, Any] = json.loads(_call_worker(json.dumps(task).encode()))
    except LimitedCallError as error:
        raise ValueError(_refusal(display_path, str(error))) from None
    if "refused" in answer:
        raise ValueError(_refusal(display_path, answer["refused"]))
    return answer


def _refusal(display_path: Path, reason: str) -> str:
    return f"Expected an HDF5 file with weights in '{display_path}' but {reason}. Download or save it again."
