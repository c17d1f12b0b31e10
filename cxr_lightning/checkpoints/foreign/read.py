"""Reads any weight file; its format is identified by its content, not by its name."""

import zipfile
from pathlib import Path

from cxr_lightning.checkpoints.foreign.hdf5 import SIGNATURE
from cxr_lightning.checkpoints.foreign.source import Source
from cxr_lightning.utils.torch_io import exported_text

FOREIGN = (".h5", ".hdf5", ".keras", ".safetensors", ".pth", ".pt", ".tar")
"""Endings of files that :func:`read_source` reads; ``.ckpt`` too, unless it is one of ours."""

_LFS_POINTER = b"version https://git-lfs"


def is_foreign(path: str) -> bool:
    """Whether a file is of another kind than this package's checkpoints and safetensors files."""
    return Path(path).suffix in FOREIGN and exported_text(path) is None


def read_source(path: str | Path) -> Source:
    """The network in a foreign weight file.

    Args:
        path: Keras (HDF5 or ``.keras``), PyTorch or safetensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, of another kind, damaged or hostile, or no network that is known.
    """
    if "://" in str(path):
        raise ValueError(f"Expected a weights file but got the URL '{path}'. Download it and check its sha256.")
    file = Path(path)
    if not file.is_file():
        found = "it is no regular file" if file.exists() else "there is no such file"
        raise FileNotFoundError(f"Expected a weights file at '{file}' but {found}. Check the path.")
    with file.open("rb") as stream:
        start = stream.read(512)
    if start.startswith(_LFS_POINTER):
        raise ValueError(f"Expected weights in '{file}' but it is a Git-LFS pointer. Run `git lfs pull`.")
    if not start or start.lstrip()[:1] == b"<":
        found = "a web page" if start else "empty"
        raise ValueError(f"Expected weights in '{file}' but it is {found}. Download it again.")
    if start.startswith(SIGNATURE):
        from cxr_lightning.checkpoints.foreign.keras import read_hdf5

        return read_hdf5(file)
    if start.startswith(b"PK") and _is_keras(file):
        from cxr_lightning.checkpoints.foreign.keras import read_archive

        return read_archive(file)
    if file.suffix in (".h5", ".hdf5", ".keras"):
        raise ValueError(
            f"Expected a Keras file in '{file}' but it begins neither as HDF5 nor as a .keras archive. "
            "Download it again."
        )
    if file.suffix == ".safetensors":
        from cxr_lightning.checkpoints.foreign.torch_weights import read_safetensors

        return read_safetensors(file)
    from cxr_lightning.checkpoints.foreign.torch_weights import read_torch

    return read_torch(file)


def _is_keras(path: Path) -> bool:
    """Whether a zip archive is Keras', not PyTorch's."""
    if path.suffix == ".keras":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return "model.weights.h5" in archive.namelist()
    except zipfile.BadZipFile:
        return False
