"""Reader of foreign weight files: the format is identified by the content of the file, not by its name."""

import zipfile
from pathlib import Path

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights
from cxr_lightning.checkpoints.foreign.hdf5 import HDF5_SIGNATURE
from cxr_lightning.checkpoints.foreign.keras import WEIGHTS_MEMBER, read_keras_archive, read_keras_hdf5
from cxr_lightning.checkpoints.foreign.pytorch import read_foreign_safetensors, read_pytorch
from cxr_lightning.checkpoints.metadata import exported_description
from cxr_lightning.utils.file_names import FOREIGN_SUFFIXES
from cxr_lightning.utils.paths import file_problem, is_lfs_pointer, refuse_url
from cxr_lightning.utils.regular_files import open_regular


def is_foreign_file(path: str) -> bool:
    """Whether a file is neither a checkpoint of this package nor a safetensors file that it exported, by its suffix."""
    return Path(path).suffix in FOREIGN_SUFFIXES and exported_description(path) is None


def read_foreign_weights(path: str | Path) -> ForeignWeights:
    """Read the network in a foreign weight file.

    Args:
        path: Keras (HDF5 or ``.keras``), PyTorch or safetensors file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, of another format, damaged or hostile, or holds no supported network.
    """
    refuse_url(path, "a weights file")
    file = Path(path)
    if problem := file_problem(file):
        raise FileNotFoundError(f"Expected a weights file at '{file}' but {problem}. Check the path.")
    with open_regular(file) as stream:
        head = stream.read(512)
    if is_lfs_pointer(head):
        raise ValueError(f"Expected weights in '{file}' but it is a Git-LFS pointer. Run `git lfs pull`.")
    if not head or head.lstrip()[:1] == b"<":
        found = "a web page" if head else "empty"
        raise ValueError(f"Expected weights in '{file}' but it is {found}. Download it again.")
    if head.startswith(HDF5_SIGNATURE):
        return read_keras_hdf5(file)
    if head.startswith(b"PK") and _is_keras_archive(file):
        return read_keras_archive(file)
    if file.suffix in (".h5", ".hdf5", ".keras"):
        raise ValueError(
            f"Expected a Keras file in '{file}' but it begins neither as HDF5 nor as a .keras archive. "
            "Download it again."
        )
    if file.suffix == ".safetensors":
        return read_foreign_safetensors(file)
    return read_pytorch(file)


def _is_keras_archive(path: Path) -> bool:
    """Whether a zip archive is from Keras; PyTorch's files are zip archives too."""
    if path.suffix == ".keras":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS_MEMBER in archive.namelist()
    except zipfile.BadZipFile:
        return False
