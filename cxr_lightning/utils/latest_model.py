"""The newest trained model, as ``latest`` stands for it where a model is given."""

import os
from pathlib import Path

from cxr_lightning.utils.file_names import BEST_CHECKPOINT, CHECKPOINT_FOLDER

LATEST = "latest"
"""Stands for the newest best checkpoint where a model is given."""
_LOG_FOLDER = "CXR_LOG_DIR"
"""Variable that moves the folder of logs, as in ``conf/paths``."""


def newest_best_checkpoint(logs: Path) -> Path:
    """The newest best checkpoint of a training, also of a sweep's job.

    Args:
        logs: The folder of logs, which holds the runs in ``train/``.

    Raises:
        FileNotFoundError: If there is none.
    """
    folder = logs / "train"
    found = folder.glob(f"*runs/**/{CHECKPOINT_FOLDER}/{BEST_CHECKPOINT}")
    newest = max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        raise FileNotFoundError(
            f"Expected a run with {CHECKPOINT_FOLDER}/{BEST_CHECKPOINT} below '{folder}' as '{LATEST}' but there is "
            "none. Train first, or give the file."
        )
    return newest


def model_file(given: str | Path) -> Path:
    """The file of a model; ``latest`` is the newest best checkpoint below the log folder.

    Args:
        given: A path, or ``latest``.

    Raises:
        FileNotFoundError: If it is ``latest``, and there is no run.
    """
    if str(given) != LATEST or Path(given).exists():
        return Path(given)
    return newest_best_checkpoint(Path(os.environ.get(_LOG_FOLDER, "logs")))
