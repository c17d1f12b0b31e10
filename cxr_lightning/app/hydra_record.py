"""Hydra's records of the starts of a run, in its folder: what each of them was given."""

import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.references import check_references
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.yaml_files import load_yaml, read_text
from cxr_lightning.training.run_settings import RunSettings, read_settings

HYDRA_FOLDER = ".hydra"
"""Hydra's record of a start; that of a later start in the same folder is ``.hydra_2`` and so on."""
_OVERRIDES_FILE, _CONFIG_FILE, _HYDRA_FILE = "overrides.yaml", "config.yaml", "hydra.yaml"
_MULTIRUN = re.compile(r"^  mode: MULTIRUN$", re.MULTILINE)
"""Line of Hydra's own settings in the record of a sweep's job."""


def latest_record(folder: Path, before: Path | None = None) -> Path | None:
    """Hydra's newest record in a run's folder that says what was given; None if there is none.

    Args:
        folder: The run's folder.
        before: Only records that are not newer than this file, if it exists: a start that came after the summary and
            failed before its training says nothing about that summary.
    """
    found = list(folder.glob(f"{HYDRA_FOLDER}*/{_OVERRIDES_FILE}"))
    if before is not None and before.is_file():
        found = [path for path in found if path.stat().st_mtime_ns <= before.stat().st_mtime_ns]
    return max((path.parent for path in found), key=lambda path: _start(path.name), default=None)


def next_record(folder: Path) -> str:
    """Name for another record of Hydra's beside those in a run's folder."""
    starts = [_start(path.name) for path in folder.glob(f"{HYDRA_FOLDER}*")]
    return f"{HYDRA_FOLDER}_{max(starts) + 1}" if starts else HYDRA_FOLDER


def read_overrides(record: Path) -> list[str]:
    """The ``key=value`` that a start was given, from Hydra's record.

    Raises:
        ValueError: If the record is damaged, or no list of texts.
        OSError: If it cannot be read.
    """
    path = record / _OVERRIDES_FILE
    found = load_yaml(path) or []
    if not isinstance(found, list) or not all(isinstance(override, str) for override in found):
        raise ValueError(f"Expected a list of KEY=VALUE in '{path}' but it holds something else. Delete that folder.")
    return found


def read_config(path: Path) -> DictConfig:
    """A recorded configuration, unresolved.

    Args:
        path: Its file.

    Raises:
        ValueError: If it is damaged, or would grow without bounds.
        OSError: If it cannot be read.
    """
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"Expected the settings of a run in '{path}' but it holds something else. Delete that folder.")
    try:
        config = OmegaConf.create(content)
    except (OmegaConfBaseException, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"Expected the settings of a run in '{path}' but: {reason}. Delete that folder.") from error
    check_references(content)
    return config


def is_of_sweep(record: Path) -> bool:
    """Whether a record is of a job of a sweep."""
    try:
        return _MULTIRUN.search(read_text(record / _HYDRA_FILE)) is not None
    except (OSError, ValueError):
        return False


def run_settings_in(folder: Path) -> RunSettings | None:
    """The settings of the run in a folder: its own record, or Hydra's of a run that ended before its training began.

    Returns:
        The settings; None if there is no record that can be read.
    """
    if (recorded := read_settings(folder)) is not None:
        return recorded
    if (record := latest_record(folder)) is None:
        return None
    try:
        return settings_of(read_config(record / _CONFIG_FILE))
    except (OSError, ValueError):  # absent, or damaged
        return None


def _start(name: str) -> int:
    """Which start of the run a record is of."""
    number = name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 1
