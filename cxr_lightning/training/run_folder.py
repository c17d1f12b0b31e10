"""Which folder a run writes to: a new one, or that of a run which it continues."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

CHECKPOINTS = "checkpoints"
LAST_FILE = "last.ckpt"
PREVIOUS_FILE = "previous.ckpt"
"""The checkpoint before the last; what a run is continued from where that is missing or damaged."""
SUMMARY_FILE = "summary.json"
"""A run's last file: one that has it is finished."""
_DIGEST_FILE = ".configuration"
_LOCK_FILE = ".lock"
_HOW = ("resume", "ckpt_path", "hydra")
"""Keys that say how a run goes on, not what is trained."""

logger = logging.getLogger(__name__)


def run_folder(ckpt_path: object, resume: object, new: str, config: DictConfig) -> str:
    """The folder of this run.

    Args:
        ckpt_path: The run's that this checkpoint is of, if it is one's.
        resume: ``auto``: the newest unfinished run's of the same configuration, if there is one.
        new: Else this.
        config: The composed configuration.
    """
    if isinstance(ckpt_path, str) and Path(ckpt_path).parent.name == CHECKPOINTS and is_there(Path(ckpt_path)):
        return str(Path(ckpt_path).absolute().parent.parent)
    if resume == "auto" and ckpt_path is None:
        found = find_unfinished(Path(new).parent, config)
        return new if found is None else str(found)
    return new


def resumable(folder: Path) -> Path | None:
    """The last checkpoint of a run, which need not be there if the one before is; None if it has neither."""
    last = folder / CHECKPOINTS / LAST_FILE
    return last if is_there(last) else None


def is_there(ckpt_path: Path) -> bool:
    """Whether there is a checkpoint, or the one before it."""
    return ckpt_path.is_file() or (ckpt_path.name == LAST_FILE and ckpt_path.with_name(PREVIOUS_FILE).is_file())


def find_unfinished(runs: Path, config: DictConfig) -> Path | None:
    """The newest run that can be continued: same configuration, a checkpoint, no summary, and nobody works on it.

    Args:
        runs: The folder of runs.
        config: The composed configuration.
    """
    folders = sorted((folder for folder in runs.glob("*") if resumable(folder)), key=_last_saved, reverse=True)
    unfinished = (folder for folder in folders if not (folder / SUMMARY_FILE).is_file())
    return next((folder for folder in unfinished if is_of(folder, config) and not _is_locked(folder)), None)


def is_of(folder: Path, config: DictConfig) -> bool:
    """Whether a folder is a run's of this configuration."""
    path = folder / _DIGEST_FILE
    return path.is_file() and path.read_text(encoding="utf-8") == digest(config)


def claim(folder: Path, config_digest: str) -> None:
    """Make a folder a run's of a configuration, by its :func:`digest` before anything was made of it."""
    (folder / _DIGEST_FILE).write_text(config_digest, encoding="utf-8")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder for as long as this process works in it.

    Raises:
        ValueError: If another process does.
    """
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"Expected a run folder of its own but another process works in '{folder}'. Wait until it has ended."
        ) from error
    except (NotImplementedError, OSError) as error:
        logger.warning("'%s' cannot be locked (%s): do not start another run in it", folder, error)
    try:
        yield
    finally:
        lock.release()


def _last_saved(folder: Path) -> int:
    files = ((folder / CHECKPOINTS / name) for name in (LAST_FILE, PREVIOUS_FILE))
    return max(file.stat().st_mtime_ns for file in files if file.is_file())


def _is_locked(folder: Path) -> bool:
    try:
        with alone_in(folder):
            return False
    except ValueError:
        return True


def digest(config: DictConfig) -> str:
    """Of what is trained; references to other settings as they are written."""
    container: Any = OmegaConf.to_container(config)
    what = {key: value for key, value in container.items() if key not in _HOW}
    return sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()
