"""Reads datasets from an HDF5 file, in a process with limited memory and time.

The HDF5 library is written in C, and a damaged or hostile file may crash or stall it; then only that process ends. It
does not import torch, checks every object before it reads any numbers, and follows no link.
"""

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cxr_lightning.utils.plain_text import one_line_reason

_MAX_OBJECTS = 50_000
_MAX_DEPTH = 40
_MAX_BYTES = 1 << 30
_MAX_COMPRESSION_RATIO = 200
_MAX_TEXT_LENGTH = 20_000_000
_MAX_CHUNK_RATIO, _CHUNK_ALLOWANCE = 4, 1 << 20
_MAX_COUNTER_SIZE = 16
_SKIPPED_GROUPS = ("optimizer_weights", "optimizer")
"""Groups with an optimizer's state: twice as large as the weights, and not part of the network."""


class UnsafeFileError(Exception):
    """Reason why the file is refused, as a clause; it never leaves this process."""


def list_objects(path: Path) -> dict[str, Any]:
    """List every dataset's shape and every attribute that is text, by path; no numbers are read.

    Raises:
        UnsafeFileError: If anything in the file is not what a weights file holds.
    """
    with h5py.File(path, "r") as file:
        datasets: dict[str, Any] = {}
        attributes: dict[str, Any] = {"": _text_attributes(file)}
        total = 0
        for name, item in _walk(file, "", 0, {_identity(file)}):
            if isinstance(item, h5py.Dataset):
                total += _check_dataset(name, item)
                datasets[name] = list(item.shape)
            else:
                attributes[name] = _text_attributes(item)
            if len(datasets) + len(attributes) > _MAX_OBJECTS:
                raise UnsafeFileError(f"it holds more than {_MAX_OBJECTS:,} objects")
        size = path.stat().st_size
        if total > min(_MAX_BYTES, _MAX_COMPRESSION_RATIO * size):
            raise UnsafeFileError(f"its datasets claim {total:,} bytes, and the file has {size:,}")
        return {"datasets": datasets, "attributes": attributes}


def _walk(group: h5py.Group, prefix: str, depth: int, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    if depth > _MAX_DEPTH:
        raise UnsafeFileError(f"its groups are nested deeper than {_MAX_DEPTH}")
    for key in group:
        name = f"{prefix}{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise UnsafeFileError(f"'{name}' is a link to something else ({type(link).__name__})")
        item = group[key]
        if _identity(item) in seen:
            raise UnsafeFileError(f"'{name}' is another name of something that is in the file already")
        seen.add(_identity(item))
        if name in _SKIPPED_GROUPS:
            continue
        if not isinstance(item, h5py.Group | h5py.Dataset):
            raise UnsafeFileError(f"'{name}' is neither a group nor a dataset")
        yield name, item
        if isinstance(item, h5py.Group):
            yield from _walk(item, f"{name}/", depth + 1, seen)


def _identity(item: Any) -> Any:  # noqa: ANN401  # any HDF5 object
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def _check_dataset(name: str, dataset: h5py.Dataset) -> int:
    """Check that a dataset is plain numbers stored in this file, and return its size in bytes."""
    if dataset.external or dataset.is_virtual:
        raise UnsafeFileError(f"'{name}' keeps its numbers in another file")
    if dataset.shape is None or (dataset.dtype.kind != "f" and not _is_counter(dataset)):
        raise UnsafeFileError(f"'{name}' holds {dataset.dtype}, not floating-point numbers")
    size = int(np.prod([int(side) for side in dataset.shape], dtype=object)) * dataset.dtype.itemsize
    if size > _MAX_BYTES:
        raise UnsafeFileError(f"'{name}' claims the shape {dataset.shape}, {size:,} bytes")
    if dataset.chunks is None and dataset.id.get_storage_size() != size:
        raise UnsafeFileError(f"'{name}' claims {size:,} bytes and has {dataset.id.get_storage_size():,}")
    if dataset.chunks is not None:
        _check_chunks(name, dataset, size)
    return int(size)


def _check_chunks(name: str, dataset: h5py.Dataset, size: int) -> None:
    """Check that every chunk is stored (missing ones would be read as zeros) and not much larger than the dataset."""
    chunk_size = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    if chunk_size > _MAX_CHUNK_RATIO * size + _CHUNK_ALLOWANCE:
        raise UnsafeFileError(f"'{name}' has {size:,} bytes in chunks of {chunk_size:,}")
    expected = math.prod(-(-side // chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() != expected:
        raise UnsafeFileError(f"'{name}' has {dataset.id.get_num_chunks()} of its {expected} chunks")


def _is_counter(dataset: h5py.Dataset) -> bool:
    """Whether it holds a few integers, such as the state of a Keras 3 seed generator."""
    return bool(dataset.dtype.kind in "iu" and dataset.size <= _MAX_COUNTER_SIZE)


def _text_attributes(item: Any) -> dict[str, Any]:  # noqa: ANN401  # a group or a file
    """The attributes that are text or lists of text, by name."""
    found: dict[str, Any] = {}
    for name in item.attrs:
        value = item.attrs[name]
        texts = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(texts, list) and all(isinstance(text, bytes | str) for text in texts):
            found[str(name)] = [_decode(text) for text in texts]
        elif isinstance(texts, bytes | str):
            found[str(name)] = _decode(texts)
    return found


def _decode(value: bytes | str) -> str:
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
    if len(text) > _MAX_TEXT_LENGTH:
        raise UnsafeFileError(f"it holds a text of {len(text):,} characters")
    return text


def extract_arrays(path: Path, names: list[str], out: Path) -> None:
    """Write datasets as float32 arrays to an ``.npz`` file, one at a time, each named by its index in ``names``."""
    with h5py.File(path, "r") as file, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number, name in enumerate(names):
            with archive.open(f"{number}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(file[name][()], dtype=np.float32), allow_pickle=False)


def handle_hdf5_task(task: bytes) -> bytes:
    """List the content of a file, or write some of its datasets to another file.

    Args:
        task: JSON with ``file``; to write, also the paths ``names`` and the file ``out``.

    Returns:
        JSON of :func:`list_objects`, or with the reason, as a clause, why the file is ``refused``.
    """
    values = json.loads(task)
    path, content = Path(values["file"]), {}
    try:
        if "names" in values:
            extract_arrays(path, values["names"], Path(values["out"]))
        else:
            content = list_objects(path)
    except UnsafeFileError as error:
        content = {"refused": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes the library raise almost anything
        content = {"refused": f"it is damaged ({one_line_reason(error)})"}
    return json.dumps(content).encode()
