"""Load PyTorch files without running code from them."""

import zipfile
from pathlib import Path
from typing import Any

import torch


def load_safely(path: str) -> Any:  # noqa: ANN401  # whatever plain values the file holds
    """Load a PyTorch file's content without running code from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, is no PyTorch file, or holds more than tensors and plain values.
    """
    try:
        _refuse_bomb(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file raises almost anything: IndexError, AssertionError, struct.error, ...
        reason = first_line(error).partition(". ")[0]  # torch goes on to advise loading it unsafely
        raise ValueError(
            f"Expected tensors in '{path}' but it cannot be loaded safely ({reason}). Save a state_dict."
        ) from error


def _refuse_bomb(path: str) -> None:
    """Refuse a decompression bomb: PyTorch's archives are not compressed, so none unpacks to more than its size."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > Path(path).stat().st_size:
        raise ValueError(f"it unpacks to {unpacked:,} bytes")


def first_line(error: Exception) -> str:
    """First line of an exception's message; the name of its class if that is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
