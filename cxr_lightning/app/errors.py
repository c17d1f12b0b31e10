"""What went wrong, in one line for whoever started the program."""

import re

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

USER_ERRORS = (ValueError, OSError, ImportError, HydraException, OmegaConfBaseException)
"""What a wrong setting, file or installation raises; anything else is a fault of ours and shows its traceback."""
_LOST = re.compile(r"gloo/|NCCL|ProcessGroup|TCPStore")
"""What torch's errors name when a process cannot be reached that shares the work."""
_PLACE = re.compile(r"^\[[^\]]*\] *")
"""In torch's source, where an error is from."""


def understood(error: Exception) -> Exception:
    """The end of another process as a fault with a remedy; anything else as it is.

    Args:
        error: Of training, testing or predicting.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, RuntimeError):
        return error
    if "DataLoader worker" in text:
        return ChildProcessError(
            f"Expected the loader's processes to live but one died ({text}). If memory ran out, lower "
            "`data.num_workers` or `data.batch_size`. A training goes on with resume=auto."
        )
    if _LOST.search(text):
        reason = _PLACE.sub("", text).partition(". ")[0]
        return ConnectionError(
            "Expected all processes of the run to live but another one has ended or cannot be reached "
            f"({reason}). Look for its own message. A training goes on with resume=auto."
        )
    return error


def one_line(error: BaseException) -> str:
    """What went wrong, without the frames that libraries put around it."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        return (
            f"Expected key=value but got {error.override}. Quote values with special characters: '{key}=\"{value}\"'."
        )
    if isinstance(error, HydraException) and isinstance(error.__cause__, Exception):
        if override := re.match(r"Could not override '([^']+)'", text):
            hint = " Choose the data as well: data=nih." if override[1].startswith("data.") else ""
            return f"Expected a key of the configuration but got '{override[1]}'. `--cfg job` lists the keys.{hint}"
        if isinstance(error.__cause__, ValueError | OSError | ImportError | TypeError):
            text = str(error.__cause__)  # instantiate() wraps what a constructor raised
    if "Original Traceback" in text:  # from a loader's worker process: the exception is on the last line
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return " ".join(text.split())
