"""Reads tensors from an HDF5 file in a process of its own.

The HDF5 library is written in C, and a damaged or hostile file may crash or stall it; then only this process ends. It
imports nothing of torch, looks at everything before it reads anything, and follows no link.

    python -m cxr_lightning.checkpoints.foreign.hdf5_reader FILE
                                prints what is in the file, as JSON
    hdf5_reader FILE OUT.npz    writes the datasets whose paths come as JSON on stdin

A fault of the file ends it with exit code 3 and the reason, as a clause, on stderr.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FAULT = 3
_MOST_OBJECTS = 50_000
_DEEPEST = 40
_MOST_BYTES = 1 << 30
_MOST_EXPANSION = 200
_LONGEST_TEXT = 20_000_000
_CHUNK_SLACK, _SMALL = 4, 1 << 20
_MOST_MEMORY = 400 << 20
_UNREAD = ("optimizer_weights", "optimizer")
"""Groups with what an optimizer remembers: as large as the weights twice over, and nothing to a model."""


class Fault(Exception):  # noqa: N818  # never leaves this process
    """Why the file is refused."""


def describe(path: Path) -> dict[str, Any]:
    """Every dataset's shape, and every attribute that is text, by path; nothing is read.

    Raises:
        Fault: If anything in the file is not what a weights file holds.
    """
    with h5py.File(path, "r") as file:
        datasets: dict[str, Any] = {}
        attributes: dict[str, Any] = {"": _attributes(file)}
        total = 0
        for name, item in _walk(file, "", 0, {_identity(file)}):
            if isinstance(item, h5py.Dataset):
                total += _check(name, item)
                datasets[name] = list(item.shape)
            else:
                attributes[name] = _attributes(item)
            if len(datasets) + len(attributes) > _MOST_OBJECTS:
                raise Fault(f"it holds more than {_MOST_OBJECTS:,} objects")
        size = path.stat().st_size
        if total > min(_MOST_BYTES, _MOST_EXPANSION * size):
            raise Fault(f"its datasets claim {total:,} bytes, and the file has {size:,}")
        return {"datasets": datasets, "attributes": attributes}


def _walk(group: h5py.Group, prefix: str, depth: int, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        raise Fault(f"its groups are nested deeper than {_DEEPEST}")
    for key in group:
        name = f"{prefix}{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Fault(f"'{name}' is a link to something else ({type(link).__name__})")
        item = group[key]
        if _identity(item) in seen:
            raise Fault(f"'{name}' is another name of something that is in the file already")
        seen.add(_identity(item))
        if name in _UNREAD:
            continue
        if not isinstance(item, h5py.Group | h5py.Dataset):
            raise Fault(f"'{name}' is neither a group nor a dataset")
        yield name, item
        if isinstance(item, h5py.Group):
            yield from _walk(item, f"{name}/", depth + 1, seen)


def _identity(item: Any) -> Any:  # noqa: ANN401  # any HDF5 object
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def _check(name: str, dataset: h5py.Dataset) -> int:
    """The dataset's size in bytes, if it is plain numbers kept in this file."""
    if dataset.external or dataset.is_virtual:
        raise Fault(f"'{name}' keeps its numbers in another file")
    if dataset.shape is None or (dataset.dtype.kind != "f" and not _counter(dataset)):
        raise Fault(f"'{name}' holds {dataset.dtype}, not floating-point numbers")
    size = int(np.prod([int(side) for side in dataset.shape], dtype=object)) * dataset.dtype.itemsize
    if size > _MOST_BYTES:
        raise Fault(f"'{name}' claims the shape {dataset.shape}, {size:,} bytes")
    if dataset.chunks is None and dataset.id.get_storage_size() != size:
        raise Fault(f"'{name}' claims {size:,} bytes and has {dataset.id.get_storage_size():,}")
    if dataset.chunks is not None:
        _check_chunks(name, dataset, size)
    return int(size)


def _check_chunks(name: str, dataset: h5py.Dataset, size: int) -> None:
    """All chunks must be there, and none much larger than the whole: a missing one would be read as zeros."""
    largest = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    if largest > _CHUNK_SLACK * size + _SMALL:
        raise Fault(f"'{name}' has {size:,} bytes in chunks of {largest:,}")
    wanted = math.prod(-(-side // chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() != wanted:
        raise Fault(f"'{name}' has {dataset.id.get_num_chunks()} of its {wanted} chunks")


def _counter(dataset: h5py.Dataset) -> bool:
    """Whether it is a whole number such as the seed generators of Keras 3 keep."""
    return bool(dataset.dtype.kind in "iu" and dataset.size <= 16)


def _attributes(item: Any) -> dict[str, Any]:  # noqa: ANN401  # a group or file
    """Attributes that are text or lists of text."""
    found: dict[str, Any] = {}
    for name in item.attrs:
        value = item.attrs[name]
        texts = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(texts, list) and all(isinstance(text, bytes | str) for text in texts):
            found[str(name)] = [_text(text) for text in texts]
        elif isinstance(texts, bytes | str):
            found[str(name)] = _text(texts)
    return found


def _text(value: bytes | str) -> str:
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
    if len(text) > _LONGEST_TEXT:
        raise Fault(f"it holds a text of {len(text):,} characters")
    return text


def extract(path: Path, names: list[str], out: Path) -> None:
    """Write datasets as float32 arrays, one at a time; an array is named by its place in ``names``."""
    import zipfile

    with h5py.File(path, "r") as file, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number, name in enumerate(names):
            with archive.open(f"{number}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(file[name][()], dtype=np.float32), allow_pickle=False)


def _limit_memory() -> None:
    """No file needs more; where the system has no such limit there is none."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    except (ImportError, AttributeError, ValueError, OSError):
        return


def main() -> int:
    """See the module's text."""
    path = Path(sys.argv[1])
    _limit_memory()
    try:
        if len(sys.argv) > 2:
            extract(path, json.load(sys.stdin), Path(sys.argv[2]))
        else:
            json.dump(describe(path), sys.stdout)
    except Fault as fault:
        print(fault, file=sys.stderr)
        return FAULT
    except MemoryError:
        print("reading it takes more memory than any weights file needs", file=sys.stderr)
        return FAULT
    except Exception as error:  # whatever a damaged file makes the library raise
        print(f"it is damaged ({' '.join(str(error).split())[:200]})", file=sys.stderr)
        return FAULT
    return 0


if __name__ == "__main__":
    sys.exit(main())
