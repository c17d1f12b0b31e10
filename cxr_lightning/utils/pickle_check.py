"""Reads the pickle within a PyTorch file without making anything of it, in a process with limited memory and time.

torch's own safe loading takes no classes from a file, but calls that fill the memory, and mappings whose keys collide:
a kilobyte would take gigabytes, or minutes. It needs no torch.
"""

import json
import pickle
import re
import zipfile
from collections import OrderedDict
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

from cxr_lightning.utils.regular_files import open_regular

_MAX_PICKLE_BYTES = 256 << 20
"""Maximum size of the pickle, which holds no tensors' numbers; that of a large training has a few megabytes."""
_MAX_MEMBERS = 100_000
"""Maximum number of files in an archive, each of which holds one tensor's numbers."""
_ARCHIVE_START = b"PK\x03\x04"
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
_PLAIN = {"OrderedDict": OrderedDict, "set": set, "frozenset": frozenset}
_SIZE = "Size"
"""Torch's class of sizes: a tuple, which may be the key of a mapping."""


class UnsafePickleError(ValueError):
    """Reason why a file is refused, as a clause."""


class _Inert:
    """Takes the place of tensors, storages and types; nothing is kept of its arguments."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # of pickle
        if module in ("collections", "builtins", "__builtin__") and name in _PLAIN:
            return _PLAIN[name]
        if (module, name) == ("torch", _SIZE):
            return tuple
        is_type = module == "torch" and _TORCH_NAMES.fullmatch(name)
        if is_type or (module in _REBUILDING and _REBUILDING_NAMES.fullmatch(name)):
            return _Inert
        raise UnsafePickleError(f"it names {f'{module}.{name}'[:100]!r}, which is no tensor or plain value")

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
        folder = members[0].filename.partition("/")[0]
        pickles = [f"{folder}/data.pkl"]
        if pickles[0] not in archive.NameToInfo or min(member.header_offset for member in members) != 0:
            raise UnsafePickleError("it is an archive that torch would not have written")
        if archive.getinfo(pickles[0]).file_size > _MAX_PICKLE_BYTES:
            raise UnsafePickleError(f"its pickle has more than {_MAX_PICKLE_BYTES:,} bytes")
        with archive.open(pickles[0]) as member:
            _read_pickle(member)


def _read_pickle(file: "BinaryIO | Any") -> None:  # noqa: ANN401  # a member of an archive too
    _Reader(file, encoding="utf-8").load()
