"""Error messages for users: one line with a remedy."""

import re
import shlex
import traceback
from pathlib import Path

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from cxr_lightning.app.study_errors import SEARCH_PACKAGES, explain_search_error
from cxr_lightning.utils.command_line import pasteable_override
from cxr_lightning.utils.unexpected import describe_unexpected, message_of


class UnexpectedError(Exception):
    """An exception that nobody expected, whose traceback is in the file that the message names."""


USER_ERRORS = (
    ValueError,
    OSError,
    ImportError,
    MemoryError,
    HydraException,
    OmegaConfBaseException,
    UnexpectedError,
)
"""Exceptions whose message is all that is shown: of a wrong setting, file or installation. Any other is a bug, and
becomes an ``UnexpectedError``."""
_OF_COMPOSITION = (HydraException, OmegaConfBaseException)
_NAMED = re.compile(r"(?:\b[Ii]n|override|full_key:|primary config) (?:'([\w/.@-]*\w)'|(?!your\b)([\w/.@-]*\w))")
"""Part of the messages of Hydra and OmegaConf that names a file or a setting."""
_REFUSALS = frozenset({"lightning_fabric.utilities.exceptions.MisconfigurationException", "wandb.errors.errors.Error"})
"""Libraries' own classes of exceptions for settings that they refuse; by name, since their import takes seconds."""
_NO_METRIC = "Early stopping conditioned on metric"
"""Start of Lightning's message about a monitored metric that is not logged."""
_NO_LOG = "Unable to configure "
"""Start of the messages of Python's logging about its settings."""
_ONE_VALUE = "Expected more than 1 value per channel when training"
"""Start of torch's message about a batch that has no variance."""
_OUT_OF_MEMORY = re.compile(r"MemoryError|out of memory|not enough memory", re.IGNORECASE)
"""Parts of the messages of Python and torch when memory is used up."""
_LOST_CONNECTION = re.compile(r"gloo/|NCCL|ProcessGroup|TCPStore")
"""Parts of torch's messages when another process of the run cannot be reached."""
_PLAIN_NODE = re.compile(r"node `([\w.]+)` is not a container")
"""Part of OmegaConf's message about a node that others refer into."""
_SOURCE_LOCATION = re.compile(r"^\[[^\]]*\] *")
"""Location in torch's source at the start of these messages."""


def explain_error(error: Exception) -> Exception:
    """Convert a library's error about settings, memory or a process that has died into one with a remedy.

    Args:
        error: An exception of training, testing or predicting.

    Returns:
        An exception of ``USER_ERRORS``; any other error unchanged.
    """
    if isinstance(error, InterpolationResolutionError):
        return ValueError(describe_reference(error))
    if (library := raising_module(error).partition(".")[0]) in SEARCH_PACKAGES:
        return explain_search_error(error, library)
    text = " ".join(str(error).split())
    if is_refusal(error):
        library = "wandb" if type(error).__module__.startswith("wandb.") else "Lightning"
        return ValueError(f"Expected settings that {library} accepts but it refuses them ({text}). Correct them.")
    if isinstance(error, ValueError) and text.startswith(_ONE_VALUE):
        return ValueError(
            f"Expected several values of each channel in a training batch but got one ({text}): the last feature map "
            "is one pixel. Raise `data.batch_size` or `data.image_size`."
        )
    if isinstance(error, RuntimeError | MemoryError) and _OUT_OF_MEMORY.search(f"{type(error).__name__}: {text}"):
        return MemoryError(
            f"Expected more memory but there is none left ({text[:200]}). Lower the batch size, or stop other programs."
        )
    if isinstance(error, ValueError) and text.startswith(_NO_LOG) and not isinstance(error.__cause__, OSError):
        reason = message_of(error.__cause__ or error)
        return ValueError(
            f"Expected 'hydra.job_logging' that Python's logging takes but: {text} ({reason}). Correct it."
        )
    return explain_lost_process(error) if isinstance(error, RuntimeError | ConnectionError | EOFError) else error


def raising_module(error: BaseException) -> str:
    """Name of the module whose code raised an exception; empty for one that was not raised."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


def describe_reference(error: InterpolationResolutionError) -> str:
    """Describe a setting that refers to another one, which is not there or is of a wrong kind."""
    reason = str(error).strip().splitlines()[0]
    if found := _PLAIN_NODE.search(reason):
        return (
            f"Expected settings as '{found[1]}' but got a plain value. Leave it out, or set its keys: "
            f"{found[1]}.KEY=VALUE."
        )
    return (
        f"Expected what '{error.full_key}' refers to but got none ({reason}). Leave that in place, or correct "
        f"'{error.full_key}'."
    )


def is_refusal(error: Exception) -> bool:
    """Whether an exception is a library's own for settings that it refuses.

    Args:
        error: An exception.
    """
    classes = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return bool(classes & _REFUSALS) or (isinstance(error, RuntimeError) and str(error).startswith(_NO_METRIC))


def shown_error(error: Exception, folder: Path | None = None) -> Exception:
    """Convert any exception of a job into one of ``USER_ERRORS``; a traceback that matters is written to a file.

    Args:
        error: The exception.
        folder: The run's folder; None if there is none.
    """
    explained = explain_error(error)
    if isinstance(explained, USER_ERRORS):
        return explained
    unexpected = UnexpectedError(describe_unexpected(explained, folder))
    unexpected.__cause__ = explained
    return unexpected


def explain_lost_process(error: Exception) -> Exception:
    """Convert the error of a process that has died into one with a remedy; return any other error unchanged.

    Args:
        error: An exception of training, testing or predicting.
    """
    text = " ".join(str(error).split())
    if "DataLoader worker" in text or raising_module(error).startswith("multiprocessing."):
        return ChildProcessError(
            f"Expected the data loader's workers to keep running but one died ({text}). If memory ran out, lower "
            "`data.num_workers` or `data.batch_size`. Resume a training with resume=auto."
        )
    if _LOST_CONNECTION.search(text):
        reason = _SOURCE_LOCATION.sub("", text).partition(". ")[0]
        return ConnectionError(
            "Expected all processes of the run to keep running but another one has ended or cannot be reached "
            f"({reason}). See its message. Resume a training with resume=auto."
        )
    return error


def one_line(error: BaseException) -> str:
    """An error's message on one line, without what libraries put around it."""
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        if not equals and not key.startswith("~"):
            return f"Expected key=value but got {key}. Give it a value: {key}=VALUE."
        is_reference = "${" in value and '"' not in value
        quoted = shlex.quote(f'{key}="{value}"') if is_reference else pasteable_override(key, value)
        return (
            f"Expected key=value but got {error.override}. Quote values with special characters: write {quoted} "
            "instead."
        )
    if isinstance(error, HydraException) and isinstance(
        error.__cause__, ValueError | OSError | ImportError | TypeError
    ):
        return one_line(error.__cause__)  # instantiate() wraps what a constructor raised
    return describe_refused(error) if isinstance(error, _OF_COMPOSITION) else message_of(error)


def describe_refused(error: BaseException) -> str:
    """The message, on one line, of an exception of Hydra or OmegaConf about settings, with what to do.

    Args:
        error: The exception, or another one whose message may be ours already.

    Example:
        >>> describe_refused(HydraException("In 'experiment/x': no such thing."))
        "Expected settings that Hydra can compose but: In 'experiment/x': no such thing. Correct 'experiment/x'."
        >>> describe_refused(HydraException("Cannot find primary config 'x'. Check that it's there.")).split(". ")[-1]
        "Correct 'x'."
    """
    text = message_of(error).partition("Config search path:")[0].strip()
    if text.startswith("Expected"):
        return text
    found = _NAMED.search(text)
    culprit = "your settings" if found is None else f"'{found[1] or found[2]}'"
    return f"Expected settings that Hydra can compose but: {text.rstrip('.?')}. Correct {culprit}."
