"""Fixtures: Keras files of every layout, built from descriptions of what real Keras wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.checkpoints.foreign import hdf5, hdf5_worker
from tests.unit.checkpoints.foreign.layouts import rebuild

MANIFESTS = Path(__file__).parents[3] / "data" / "keras_manifests"


def build(name: str, folder: Path, seed: int = 0) -> Path:
    """Write a file of a layout, with random numbers and the suffix of the layout."""
    described = json.loads((MANIFESTS / f"{name}.json").read_text())
    return rebuild(described, folder / name, np.random.default_rng(seed))


@pytest.fixture
def keras_file(tmp_path: Path) -> Callable[..., Path]:
    """:func:`build`, in a temporary folder."""

    def make(name: str, seed: int = 0) -> Path:
        return build(name, tmp_path, seed)

    return make


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read HDF5 in this process: the same code without the two seconds that another process takes."""

    def run_worker(display_path: Path, arguments: list[str], stdin: str) -> str:
        try:
            if len(arguments) == 1:
                return json.dumps(hdf5_worker.list_objects(Path(arguments[0])))
            hdf5_worker.extract_arrays(Path(arguments[0]), json.loads(stdin), Path(arguments[1]))
        except hdf5_worker.UnsafeFileError as error:
            raise ValueError(f"Expected an HDF5 file with weights in '{display_path}' but {error}.") from error
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            message = f"Expected an HDF5 file with weights in '{display_path}' but it is damaged ({error})."
            raise ValueError(message) from error
        return ""

    monkeypatch.setattr(hdf5, "_run_worker", run_worker)
