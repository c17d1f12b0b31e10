"""Checkpoint files that a killed run leaves whole: written aside first, with the one before kept."""

import logging
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from cxr_lightning.checkpoints.load import read_checkpoint
from cxr_lightning.training.run_folder import LAST_FILE, PREVIOUS_FILE

_WRITER = "inline_container"
"""In the errors of torch's writer."""

logger = logging.getLogger(__name__)


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; a file that is there stays until the new one is on the disk.

    Raises:
        OSError: If that fails, as for want of space.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        reason = _first(error)
        if not isinstance(reason, OSError) and _WRITER not in str(reason):  # such as a loader's process that died
            raise reason from None
        raise OSError(
            f"Expected to write the checkpoint '{path}' but got: {reason}. What was there is kept. Free disk space."
        ) from error


def _first(error: BaseException) -> BaseException:
    """What went wrong first: torch's writer ends with an error of its own when another one interrupts it.

    That one may have a context too, which is harmless: signals are handled wherever the program happens to be.
    """
    while _WRITER in str(error) and error.__context__ is not None:
        error = error.__context__
    return error


class CheckpointFiles(TorchCheckpointIO):
    """Has Lightning write its checkpoints with :func:`write_checkpoint`."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401  # Lightning's
    ) -> None:
        """Write one."""
        write_checkpoint(checkpoint, Path(path))


def read_resumable(path: str) -> tuple[str, dict[str, Any]]:
    """The checkpoint to go on from: a ``last.ckpt``, or the one before if that is missing or damaged.

    Returns:
        Its path and content.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file is no checkpoint of ours, and there is none before it.
    """
    try:
        return path, read_checkpoint(path)
    except (ValueError, OSError) as error:
        before = Path(path).with_name(PREVIOUS_FILE)
        if Path(path).name != LAST_FILE or not before.is_file():
            raise
        content = read_checkpoint(str(before))
        logger.warning("going on from '%s', the checkpoint before: %s", before, error)
        return str(before), content
