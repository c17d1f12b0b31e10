"""Errors of configured parts, also those of their hooks: one sentence that names the part's key and settings."""

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from hydra.errors import InstantiationException

from cxr_lightning.app.errors import explain_error, is_refusal, raising_module
from cxr_lightning.app.unknown_names import HYDRA_KEYS
from cxr_lightning.utils.command_line import hydra_value
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.plugins import is_within, trusted_packages

TRAINER_KEY = "trainer"
"""Key of the part that runs the others."""
_LIBRARIES = ("torch", "pytorch_lightning", "lightning_fabric")
_PACKAGE = "cxr_lightning"
_LOOPS = ("pytorch_lightning.loops",)
"""Modules that run the training itself, such as within a callback that tries learning rates."""
_HELPERS = {"LearningRateFinder": "pytorch_lightning.tuner"}
"""Modules that only a class uses, by the class."""
_WRONG_CALL = re.compile(r"\(\) (missing|got|takes) ")
"""Part of Python's message about arguments that do not fit a signature."""
_OF_DEVICE = re.compile(r"CUDA error|CUBLAS_|CUDNN_|cuDNN error|HIP error")
"""Parts of torch's messages about a device, which reports its errors later than they happen."""
_HINTS = {"WandbLogger": "Set WANDB_API_KEY, '{key}.offline=true', or another value that is named."}
"""What to do about an error of a class."""
_INSTALL = {"WandbLogger": "Install the extra: uv run --extra wandb."}
"""How to install what a class needs."""
_SMALL = (0, 1)
"""Numbers that messages hold whatever they are about."""
_MAX_SHOWN = 60


@dataclass(frozen=True)
class Part:
    """A node of a configuration that names a class or function.

    Attributes:
        key: Dotted key of the node.
        target: Dotted name of what it names.
        settings: The node, with plain values.
    """

    key: str
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def naming_key(part: Part) -> Iterator[None]:
    """Within the block, an error of what a node names becomes one that names the node's key.

    Args:
        part: The node. Libraries' errors are about their settings; others' may be bugs.
    """
    try:
        yield
    except Exception as raised:
        error = raised.__cause__ if isinstance(raised, InstantiationException) and raised.__cause__ else raised
        explained = _explain(error, part) if isinstance(error, Exception) else error
        raise explained from explained.__cause__


@contextmanager
def naming_key_of_hook(configured_objects: Sequence[tuple[Part, object]]) -> Iterator[None]:
    """Within the block, an error in a hook of a library's class becomes one that names the key of its node.

    Args:
        configured_objects: Nodes, each with its object, or with the class of the object that will be made.
    """
    try:
        yield
    except Exception as error:
        part = None if _OF_DEVICE.search(str(error)) else _part_that_raised(error, configured_objects)
        explained = error if part is None else _explain(error, part)
        if explained is error:
            raise
        raise explained from error


def _explain(error: Exception, part: Part) -> Exception:
    """The error that names a node's key; the same error if it says all, is of the system, or may be a bug."""
    text, name = " ".join(str(error).split()).removesuffix("."), part.target.rpartition(".")[2]
    if isinstance(explain_error(error), OSError | MemoryError) or (
        text.startswith("Expected ") and not _is_raised_by_library(error)
    ):
        return error
    explained: Exception = error
    if isinstance(error, ImportError):
        explained = ImportError(
            f"Expected what {name} of `{part.key}` needs but it is not installed ({text}). "
            f"{_INSTALL.get(name, 'Install it.')}"
        )
    elif (
        is_within(part.target, _LIBRARIES)
        or isinstance(error, ValueError)
        or is_refusal(error)
        or _WRONG_CALL.search(text)
    ):
        hint = _HINTS.get(name, "Correct {settings}.").format(key=part.key, settings=_settings_named(text, part))
        explained = ValueError(
            f"Expected settings of `{part.key}` that {name} accepts but it refuses them "
            f"({text or type(error).__name__}). {hint}"
        )
    if explained is not error:
        explained.__cause__ = error
    return explained


def _settings_named(text: str, part: Part) -> str:
    """The settings of a node whose names, or else whose values, are in a message; the node if there are none."""
    settings = {name: value for name, value in part.settings.items() if name not in HYDRA_KEYS}
    named = sorted((name for name in settings if _place(name, text) >= 0), key=lambda name: _place(name, text))
    named = named or [
        name for name, value in settings.items() if any(_place(word, text) >= 0 for word in _words(value))
    ]
    shown = [f"`{part.key}.{name}` ({shorten(hydra_value(settings[name]), _MAX_SHOWN)})" for name in named]
    return " or ".join(shown) or f"`{part.key}`"


def _place(word: str, text: str) -> int:
    """Where a message first holds a word; -1 if it does not."""
    found = re.search(rf"(?<![\w.-]){re.escape(word)}(?!\w|\.\w)", text)
    return found.start() if found else -1


def _words(value: object) -> Iterator[str]:
    """The texts and numbers in a value, without those that say little."""
    if isinstance(value, Mapping):
        for pair in value.items():
            yield from _words(list(pair))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item)
    elif value not in ("", None, *_SMALL):  # also True and False
        yield str(value)


def _part_that_raised(error: Exception, configured_objects: Sequence[tuple[Part, object]]) -> Part | None:
    """The node whose object raised an error: the innermost one at work in the library's code that raised it.

    The trainer, which calls all others, is that of a refusal within which no other is at work. Of a class of this or a
    trusted package, only a library's refusal is told, since any other error may be a bug.

    Example: an optimizer's step fails, called by the trainer. The optimizer's node is the one. If a network of this
    package, which the step calls, had failed, it would be none.
    """
    frames = reversed([frame for frame, _ in traceback.walk_tb(error.__traceback__)])
    library_frames = _up_to(frames, (_PACKAGE, *trusted_packages()))
    others = [(part, configured) for part, configured in configured_objects if part.key != TRAINER_KEY]
    # Around the loops, a callback may be at work that tries learning rates; what fails within them is not its error.
    if (found := _innermost_at_work(_up_to(library_frames, _LOOPS), others)) is not None:
        part, configured = found
        return part if _is_of_library(configured) or is_refusal(error) else None
    trainers = [(part, configured) for part, configured in configured_objects if part.key == TRAINER_KEY]
    is_refused = is_refusal(error) or (isinstance(error, ValueError) and _is_raised_by_library(error))
    found = _innermost_at_work(library_frames, trainers)
    return found[0] if found is not None and is_refused else None


def _up_to(frames: Iterable[FrameType], packages: tuple[str, ...]) -> list[FrameType]:
    """The frames up to the first one of these packages, which is included."""
    found = []
    for frame in frames:
        found.append(frame)
        if is_within(_module_of(frame), packages):
            break
    return found


def _innermost_at_work(
    frames: Iterable[FrameType], configured_objects: Sequence[tuple[Part, object]]
) -> tuple[Part, object] | None:
    """The first node, in the order of the frames, whose object is at work in one; None if there is none."""
    pairs = (
        (part, configured)
        for frame in frames
        for part, configured in configured_objects
        if _is_at_work(frame, part, configured)
    )
    return next(pairs, None)


def _is_at_work(frame: FrameType, part: Part, configured: object) -> bool:
    """Whether a frame is of a method of a node's object, or of a module that only its class uses."""
    name = part.target.rpartition(".")[2]
    if name in _HELPERS and is_within(_module_of(frame), (_HELPERS[name],)):
        return True
    instance = _first_argument(frame)
    return instance is configured or type(instance) is configured


def _is_of_library(configured: object) -> bool:
    kind = configured if isinstance(configured, type) else type(configured)
    return is_within(kind.__module__, _LIBRARIES)


def _first_argument(frame: FrameType) -> object:
    """The object whose method a frame is of."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def _is_raised_by_library(error: Exception) -> bool:
    return is_within(f"{raising_module(error)}.", _LIBRARIES)


def _module_of(frame: FrameType) -> str:
    """Name of the module of a frame's code, with a dot at its end."""
    return f"{frame.f_globals.get('__name__', '')}."
