"""Reads the pickle within a PyTorch file without making anything of it, in a process with limited memory and time.

torch's own safe loading takes no classes from a file, but calls that fill the memory, and mappings whose keys collide:
a kilobyte would take gigabytes, or minutes. It needs no torch.
"""

import json
import pickle
import re
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

from cxr_lightning.utils.regular_files import open_regular

_MAX_PICKLE_BYTES = 256 << 20
"""Maximum size of the pickle, which holds no tensors' numbers; that of a large training has a few megabytes."""
_MAX_MEMBERS = 100_000
"""Maximum number of files in an archive, each of which holds one tensor's numbers."""
_ARCHIVE_START = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
"""Last record of an archive: mark, four numbers, length and place of the list of files, length of the comment."""
_LOCATOR, _LONG_END = struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
"""The records before it in the long form of the format: where the long end is, and the long end."""
_IN_LONG_END = 0xFFFFFFFF
_NOT_OF_TORCH = "it is an archive that torch would not have written"
_LEGACY_PICKLES = 5
"""Number of pickles at the start of a file in the format of before 2020: a mark, a version, the system, the content and
the names of what follows."""
_TORCH_NAMES = re.compile(r"\w+Storage|device|bfloat16|bool|(c?q?u?int|float|complex|quint)\d\w*")
"""Names of torch's classes of numbers."""
_REBUILDING = ("torch._utils", "torch._tensor", "torch.nn.parameter", "torch.storage", "torch.serialization")
_REBUILDING_NAMES = re.compile(
    r"_rebuild_(tensor(_v[23])?|parameter|parameter_with_state|sparse_tensor|qtensor|meta_tensor_no_storage)"
    r"|Parameter|UntypedStorage|TypedStorage|_get_layout"
)
_WITH_ATTRIBUTES = ("torch._tensor", "_rebuild_from_type_v2")


class UnsafePickleError(ValueError):
    """Reason why a file is refused, as a clause."""


class _Inert:
    """Takes the place of tensors, storages and types; nothing is kept of its arguments."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes as torch writes them; other encodings can take long, or multiply what they are given."""
    if encoding != "latin1":
        raise UnsafePickleError(f"it holds bytes in the encoding {encoding[:100]!r}")
    return text.encode(encoding)


def _byte_array(content: bytes = b"") -> bytearray:
    """Bytes that can be changed, which torch would also make from their number alone."""
    if not isinstance(content, bytes):
        raise UnsafePickleError("it holds an array of bytes without the bytes")
    return bytearray(content)


_PLAIN: Mapping[str, Callable[..., object]] = {
    **{"collections.OrderedDict": OrderedDict, "collections.Counter": Counter},
    **{"builtins.set": set, "builtins.frozenset": frozenset, "builtins.complex": complex},
    **{"_codecs.encode": _encoded, "builtins.bytearray": _byte_array},
    "torch.Size": tuple,  # which may be the key of a mapping
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # of pickle
        full_name = f"{module.replace('__builtin__', 'builtins')}.{name}"
        if full_name in _PLAIN:
            return _PLAIN[full_name]
        is_type = module == "torch" and _TORCH_NAMES.fullmatch(name)
        if is_type or (module in _REBUILDING and _REBUILDING_NAMES.fullmatch(name)):
            return _Inert
        if (module, name) == _WITH_ATTRIBUTES:
            raise UnsafePickleError("it holds a tensor with attributes, or of a class of its own")
        raise UnsafePickleError(f"it names {full_name[:100]!r}, which is no tensor or plain value")

    def persistent_load(self, _: object) -> object:
        return _Inert()


def handle_pickle_task(task: bytes) -> bytes:
    """Read the pickles of a file.

    Args:
        task: JSON with the absolute path ``file``.

    Returns:
        JSON with the reason, as a clause, why the file is ``refused``; empty if it is not.
    """
    path, reason = Path(json.loads(task)["file"]), ""
    try:
        read_pickles(path)
    except UnsafePickleError as error:
        reason = str(error)
    except MemoryError:
        raise
    except Exception:  # a damaged pickle raises almost anything
        reason = "it is damaged, or no PyTorch file"
    return json.dumps({"refused": reason}).encode()


def read_pickles(path: Path) -> None:
    """Read the pickles of a PyTorch file, of either format.

    Args:
        path: The file.

    Raises:
        UnsafePickleError: If it is refused.
    """
    with open_regular(path) as file:
        is_archive = file.read(len(_ARCHIVE_START)) == _ARCHIVE_START  # as torch decides
        file.seek(0)
        if is_archive:
            _read_archive(file)
            return
        for _ in range(_LEGACY_PICKLES):
            _read_pickle(file)


def _read_archive(file: BinaryIO) -> None:
    """Read the pickle of an archive, in which torch's own reader, which ignores case, finds the same one."""
    if not _has_one_directory(file):
        raise UnsafePickleError(_NOT_OF_TORCH)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > file.seek(0, SEEK_END):  # a bomb: PyTorch compresses nothing
            raise UnsafePickleError(f"it unpacks to {unpacked:,} bytes")
        names = [member.filename.lower() for member in members]
        pickles = [name for name in names if name.endswith("data.pkl")]
        if len(set(names)) != len(names) or len(pickles) != 1:
            raise UnsafePickleError(f"it holds {len(pickles)} pickles, or a name twice")
        if len(names) > _MAX_MEMBERS:
            raise UnsafePickleError(f"it holds {len(names):,} files, more than {_MAX_MEMBERS:,}")
        content = f"{members[0].filename.partition('/')[0]}/data.pkl"
        if content not in archive.NameToInfo or min(member.header_offset for member in members) != 0:
            raise UnsafePickleError(_NOT_OF_TORCH)
        if archive.getinfo(content).file_size > _MAX_PICKLE_BYTES:
            raise UnsafePickleError(f"its pickle has more than {_MAX_PICKLE_BYTES:,} bytes")
        with archive.open(content) as member:
            _read_pickle(member)


def _has_one_directory(file: BinaryIO) -> bool:
    """Whether the list of an archive's files is where its end says, just before it: all readers find the same one."""
    last = file.seek(0, SEEK_END) - _END.size
    end = _unpack(file, last, _END)
    if end is None or end[0] != b"PK\5\6" or end[7] != 0:  # a comment could hold another one
        return False
    directory, stop = (end[5], end[6]), last
    locator = _unpack(file, last - _LOCATOR.size, _LOCATOR)
    if locator is not None and locator[0] == b"PK\6\7":
        stop = last - _LOCATOR.size - _LONG_END.size
        long_end = _unpack(file, stop, _LONG_END)
        if long_end is None or long_end[0] != b"PK\6\6" or locator[2] != stop:
            return False
        if any(short not in (long, _IN_LONG_END) for short, long in zip(directory, long_end[8:], strict=True)):
            return False
        directory = (long_end[8], long_end[9])
    return bool(sum(directory) == stop)


def _unpack(file: BinaryIO, place: int, record: struct.Struct) -> tuple[Any, ...] | None:
    """The fields of a record at a place of a file; None if it does not lie there whole."""
    if place < 0:
        return None
    file.seek(place)
    content = file.read(record.size)
    return record.unpack(content) if len(content) == record.size else None


def _read_pickle(file: "BinaryIO | Any") -> None:  # noqa: ANN401  # a member of an archive too
    _Reader(file, encoding="utf-8").load()
