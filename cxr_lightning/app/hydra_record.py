"""Hydra's records of the starts of a run, in its folder: what each of them was given."""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.run_identity import settings_of
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
    """The ``key=value`` that a start was given, from Hydra's record."""
    return [str(override) for override in OmegaConf.to_container(OmegaConf.load(record / _OVERRIDES_FILE)) or []]


def is_of_sweep(record: Path) -> bool:
    """Whether a record is of a job of a sweep."""
    try:
        return _MULTIRUN.search((record / _HYDRA_FILE).read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeError):
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
        config: Any = OmegaConf.load(record / _CONFIG_FILE)
    except Exception:  # absent, or damaged: YAML's errors have no common built-in class
        return None
    return settings_of(config) if isinstance(config, DictConfig) else None


def _start(name: str) -> int:
    """Which start of the run a record is of."""
    number = name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 1
