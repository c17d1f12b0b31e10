"""Keras files of every layout, built from descriptions of what real Keras wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.checkpoints.foreign import hdf5, hdf5_reader

MANIFESTS = Path(__file__).parent / "manifests"


def build(name: str, folder: Path, seed: int = 0) -> Path:
    """A file of a layout, with random numbers; its ending is that of the layout."""
    from tests.conversion.layouts import rebuild

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
    """Read HDF5 in this process: the same code without two seconds for a process of its own."""

    def run(path: Path, arguments: list[str], given: str) -> str:
        try:
            if len(arguments) == 1:
                return json.dumps(hdf5_reader.describe(Path(arguments[0])))
            hdf5_reader.extract(Path(arguments[0]), json.loads(given), Path(arguments[1]))
        except hdf5_reader.Fault as fault:
            raise ValueError(f"Expected an HDF5 file with weights in '{path}' but {fault}.") from fault
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"Expected an HDF5 file with weights in '{path}' but it is damaged ({error}).") from error
        return ""

    monkeypatch.setattr(hdf5, "_run", run)
