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
    """Read HDF5 in this process: the same code without another process."""

    monkeypatch.setattr(hdf5, "_call_worker", hdf5_worker.handle_hdf5_task)
