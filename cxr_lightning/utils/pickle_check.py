"""Reads the pickle within a PyTorch file without making anything of it, in a process with limited memory and time.

torch's own safe loading takes no classes from a file, but calls that fill the memory, and mappings whose keys collide:
a kilobyte would take gigabytes, or minutes. It needs no torch.
"""

import json
import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from io import BytesIO
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from cxr_lightning.utils.regular_files import open_regular
from cxr_lightning.utils.zip_directory import has_one_directory

_MAX_PICKLE_BYTES = 8 << 20
"""Maximum size of the pickle, which holds no tensors' numbers; that of a large training has less than a megabyte. torch
reads a megabyte in a second or so."""
_MAX_OBJECTS = 100_000
"""Maximum number of objects that a file describes beside plain values; a tensor takes two: its numbers, its shape."""
_MAX_MEMBERS = 100_000
"""Maximum number of files in an archive, each of which holds one tensor's numbers."""
_ARCHIVE_START = b"PK\x03\x04"
_NOT_OF_TORCH = "it is an archive that is cut off, or that torch would not have written"
_LEGACY_PICKLES = 4
"""Number of pickles at the start of a file in the format of before 2020: a mark, a version, the system and the content;
the names of the storages that follow are the next one."""
_TYPE_NAMES = re.compile(r"\w+Storage|bfloat16|bool|(c?q?u?int|float|complex|quint)\d\w*")
"""Names of torch's types of numbers and of storages, which a file only names."""
_REBUILDING = ("torch._utils", "torch._tensor", "torch.nn.parameter", "torch.storage", "torch.serialization")
_REBUILDING_NAMES = re.compile(
    r"_rebuild_(tensor(_v[23])?|parameter)|Parameter|UntypedStorage|TypedStorage|_get_layout"
)
_OTHER_TENSORS = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantized tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without numbers",
    "_rebuild_parameter_with_state": "a parameter with attributes",
    "_rebuild_from_type_v2": "a tensor with attributes, or of a class of its own",
}
"""What torch would also make, by the name of the function that does."""


class UnsafePickleError(ValueError):
    """Reason why a file is refused, as a clause."""


class _Inert:
    """Takes the place of a tensor and what belongs to one; nothing is kept of its arguments.

    Attributes:
        made: How many there are.
    """

    made: ClassVar[int] = 0

    def __new__(cls, *_: object) -> Self:
        _Inert.made += 1
        if _Inert.made > _MAX_OBJECTS:
            raise UnsafePickleError(f"it describes more than {_MAX_OBJECTS:,} objects")
        return super().__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class _Type:
    """Takes the place of a type of numbers or of a storage, of which torch never makes one from a file itself."""

    def __new__(cls, *_: object) -> Self:
        raise UnsafePickleError("it makes numbers without holding them")


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
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.complex": complex,
    "builtins.bytearray": _byte_array,
    "_codecs.encode": _encoded,
    "torch.Size": tuple,  # which may be the key of a mapping
    "torch.device": _Inert,
}


class _Reader(pickle.Unpickler):
    """Reads a pickle without making anything of it but plain values.

    Attributes:
        storages: Number of values of each storage that is referred to, by its key.
    """

    def __init__(self, file: "BinaryIO | Any") -> None:  # noqa: ANN401  # a member of an archive too
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # of pickle
        full_name = f"{module.replace('__builtin__', 'builtins')}.{name}"
        if full_name in _PLAIN:
            return _PLAIN[full_name]
        if name in _OTHER_TENSORS and module in _REBUILDING:
            raise UnsafePickleError(f"it holds {_OTHER_TENSORS[name]}")
        if module in _REBUILDING and _REBUILDING_NAMES.fullmatch(name):
            return _Type if name.endswith("Storage") else _Inert
        if module == "torch" and _TYPE_NAMES.fullmatch(name):
            return _Type
        raise UnsafePickleError(f"it names {full_name[:100]!r}, which is no tensor or plain value")

    def persistent_load(self, reference: object) -> object:
        match reference:
            case ("storage", _, str(key), _, int(number), *_) if number >= 0:
                self.storages[key] = max(number, self.storages.get(key, 0))
                return _Inert()
        raise UnsafePickleError("it refers to numbers in another way than torch")


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
    _Inert.made = 0
    with open_regular(path) as file:
        if not file.peek(1):
            raise UnsafePickleError("it is empty")
        is_archive = file.read(len(_ARCHIVE_START)) == _ARCHIVE_START  # as torch decides
        file.seek(0)
        storages = _read_archive(file) if is_archive else _read_legacy(file)
        if sum(storages.values()) > file.seek(0, SEEK_END):  # a number takes at least a byte
            raise UnsafePickleError("it describes more numbers than it holds")


def _read_legacy(file: BinaryIO) -> Mapping[str, int]:
    """Read the pickles of the former format, which lists the storages that it holds: torch fills these alone."""
    start = BytesIO(file.read(_MAX_PICKLE_BYTES))
    try:
        for _ in range(_LEGACY_PICKLES):
            reader = _Reader(start)
            reader.load()
        listed = _Reader(start).load()
    except (EOFError, pickle.UnpicklingError) as error:
        if not file.read(1):
            raise
        raise UnsafePickleError(f"its pickles have more than {_MAX_PICKLE_BYTES:,} bytes") from error
    if not isinstance(listed, list) or {*listed} != {*reader.storages}:
        raise UnsafePickleError("it does not hold the numbers that it describes")
    return reader.storages


def _read_archive(file: BinaryIO) -> Mapping[str, int]:
    """Read the pickle of an archive, in which torch's own reader, which ignores case, finds the same one."""
    if not has_one_directory(file):
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
            reader = _Reader(member)
            reader.load()
    return reader.storages
