"""Error messages for users: one line with a remedy."""

import re

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.utils.command_line import pasteable_override

USER_ERRORS = (ValueError, OSError, ImportError, HydraException, OmegaConfBaseException)
"""Exceptions for a wrong setting, file or installation; any other is a bug and shows its traceback."""
_LOST_CONNECTION = re.compile(r"gloo/|NCCL|ProcessGroup|TCPStore")
"""Parts of torch's messages when another process of the run cannot be reached."""
_SOURCE_LOCATION = re.compile(r"^\[[^\]]*\] *")
"""Location in torch's source at the start of these messages."""


def explain_error(error: Exception) -> Exception:
    """Convert the error of a process that has died into one with a remedy; return any other error unchanged.

    Args:
        error: An exception of training, testing or predicting.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, RuntimeError):
        return error
    if "DataLoader worker" in text:
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
    text = str(error)
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        if not equals and not key.startswith("~"):
            return f"Expected key=value but got {key}. Give it a value: {key}=VALUE."
        return (
            f"Expected key=value but got {error.override}. Quote values with special characters: write "
            f"{pasteable_override(key, value)} instead."
        )
    if isinstance(error, HydraException) and isinstance(
        error.__cause__, ValueError | OSError | ImportError | TypeError
    ):
        text = str(error.__cause__)  # instantiate() wraps what a constructor raised
    elif isinstance(error, HydraException):
        text = text.partition("Config search path:")[0]
    if "Original Traceback" in text:  # from a worker of a data loader: the exception is on the last line
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return " ".join(filter(None, map(str.strip, text.splitlines())))  # a path may hold several spaces
