"""Verdicts about ONNX files: each file is checked once, and the verdict is kept for its next use. No torch."""

import json
import os
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.typed_values import TypedValues

MAX_ONNX_BYTES = 2**31 - 1
"""Maximum size of an ONNX file; one in the format that holds no other files cannot be larger."""
_CHECK_VERSION = 1
"""Raised whenever the checks change: earlier verdicts are not used then."""
_MEMORY, _MEMORY_PER_BYTE = 1 << 30, 5
_SECONDS = 15
_CACHE_VARIABLE = "CXR_CACHE_DIR"
_MAX_VERDICT_BYTES = 10_000


class _Verdict(TypedValues):
    """What the check of a file has found."""

    refused: str
    """The reason, as a clause; empty if the file is accepted."""


def refusal_of(content: bytes) -> str:
    """Why an ONNX file is refused, as a clause; empty if it is not.

    The verdict is kept in the folder of caches of the variable ``CXR_CACHE_DIR``, or else in the user's own: not in the
    current folder, whose files may be other people's.

    Args:
        content: The file's bytes.
    """
    place = _verdict_file(sha256(content).hexdigest())
    verdict = _read_verdict(place)
    if verdict is None:
        check = LimitedFunction(
            "cxr_lightning.checkpoints.onnx_check",
            "answer_check",
            Limits(memory=_MEMORY + _MEMORY_PER_BYTE * len(content), seconds=_SECONDS),
        )
        try:
            verdict = _Verdict.model_validate(json.loads(check(content)))
        except LimitedCallError as error:  # another machine may have more time
            return str(error)
        finally:
            check.close()
        _keep_verdict(place, verdict)
    return verdict.refused


def _verdict_file(digest: str) -> Path:
    return _cache_folder() / "onnx" / f"{digest}-onnxruntime{version('onnxruntime')}-v{_CHECK_VERSION}.json"


def _cache_folder() -> Path:
    given, own = os.environ.get(_CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given)
    return (Path(own) if own else Path.home() / ".cache") / "cxr_lightning"


def _read_verdict(place: Path) -> _Verdict | None:
    try:
        return _Verdict.model_validate(parse_json(read_limited(place, _MAX_VERDICT_BYTES)))
    except (OSError, ValueError, ValidationError):
        return None


def _keep_verdict(place: Path, verdict: _Verdict) -> None:
    """Keep a verdict; where it cannot be written, the file is checked again at its next use."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write_text(place) as file:
            file.write(verdict.model_dump_json() + "\n")
    except OSError:
        return
