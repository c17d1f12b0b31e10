"""Check ONNX files in a process of its own, each once: the result is kept for the file's next use. No torch."""

import json
import os
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

import cxr_lightning
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.typed_values import TypedValues

MAX_ONNX_BYTES = 2**31 - 1
"""Maximum size of an ONNX file; one in the format that holds no other files cannot be larger."""
_CHECK_VERSION = 4
"""Version of the checks; it is raised when they change while that of the package stays the same."""
_MEMORY, _MEMORY_PER_BYTE = 1 << 30, 5
_SECONDS, _BYTES_PER_SECOND = 15, 20_000_000
"""Time of a check, and the part of a file for which there is one more second: large networks compute more."""
_CACHE_VARIABLE = "CXR_CACHE_DIR"
_MAX_RESULT_BYTES = 10_000


class _CheckResult(TypedValues):
    """The result of a check of an ONNX file."""

    refused: str
    """The reason, as a clause; empty if the file is accepted."""
    permanent: bool
    """Whether the same file always gives this result, which is kept then."""


class Refusal(NamedTuple):
    """Why an ONNX file is refused."""

    reason: str
    """What was found, as a clause."""
    remedy: str
    """What to do, as a sentence."""


def refusal_of(content: bytes) -> Refusal | None:
    """Why an ONNX file is refused; None if it is not.

    The result is kept in the folder of caches of the variable ``CXR_CACHE_DIR``, if it is absolute, or else in the
    user's own: not in the current folder, whose files may be other people's.

    Args:
        content: The file's bytes.
    """
    place = _result_file(sha256(content).hexdigest())
    result = _read_result(place)
    if result is None:
        try:
            result = _check(content)
        except LimitedCallError as error:  # another machine may have more time
            return Refusal(str(error), "Wait until this machine is less busy, or use the checkpoint itself.")
        if result.permanent:
            _keep_result(place, result)
    return Refusal(result.refused, "Export it again.") if result.refused else None


def _check(content: bytes) -> _CheckResult:
    limits = Limits(
        memory=_MEMORY + _MEMORY_PER_BYTE * len(content), seconds=_SECONDS + len(content) // _BYTES_PER_SECOND
    )
    with closing(LimitedFunction("cxr_lightning.checkpoints.onnx_check", "handle_onnx_check", limits)) as check:
        return _CheckResult.model_validate(json.loads(check(content)))


def _result_file(digest: str) -> Path | None:
    """Path of a file's result, whose name holds everything that decides it; None if there is no folder for it."""
    parts = [digest, *(f"{name}{version(name)}" for name in ("onnx", "onnxruntime")), f"cxr{cxr_lightning.__version__}"]
    folder = _cache_folder()
    return None if folder is None else folder / "onnx" / f"{'-'.join(parts)}-v{_CHECK_VERSION}.json"


def _cache_folder() -> Path | None:
    given, own = os.environ.get(_CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if given and Path(given).is_absolute():
        return Path(given)
    try:
        user = Path(own) if own and Path(own).is_absolute() else Path.home() / ".cache"
        return user / "cxr_lightning"
    except RuntimeError:  # the user has no home
        return None


def _read_result(place: Path | None) -> _CheckResult | None:
    if place is None:
        return None
    try:
        return _CheckResult.model_validate(parse_json(read_limited(place, _MAX_RESULT_BYTES)))
    except (OSError, ValueError, ValidationError):
        return None


def _keep_result(place: Path | None, result: _CheckResult) -> None:
    """Keep a result; where it cannot be written, the file is checked again at its next use."""
    if place is None:
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write_text(place) as file:
            file.write(result.model_dump_json() + "\n")
    except OSError:
        return
