"""Whether two runs are the same: which of their settings determine what is learned, and how these differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cxr_lightning.training.run_limits import number_in
from cxr_lightning.utils.command_line import pasteable_override
from cxr_lightning.utils.file_names import SETTINGS_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.regular_files import read_limited

LENGTH_SETTINGS = (
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.max_time",
    "trainer.min_epochs",
    "trainer.min_steps",
)
"""Settings of how long a run trains: a run may go on with more of it."""
LENGTH_CALLBACKS = ("pytorch_lightning.callbacks.EarlyStopping", "pytorch_lightning.callbacks.Timer")
"""Callbacks of the same kind, all of whose settings may change."""

FREE_SETTINGS = (
    *("ckpt_path", "resume", "train", "test", "root", "paths", "hydra", "logger"),
    "monitor.mode",  # what it means stands in the callbacks and the schedule
    # How images are found and loaded; which ones they are is compared by their names (the data's fingerprint).
    *("data.num_workers", "data.cache", "data.cache_dir", "data.on_missing", "data.on_bad_image", "data.drop_leaked"),
    *("data.on_flag", "data.force"),
    "model.compile",
    # Where and how the computation runs, what is shown of it, and what is done after training.
    *("trainer.accelerator", "trainer.strategy", "trainer.deterministic", "trainer.benchmark", "trainer.barebones"),
    *("trainer.log_every_n_steps", "trainer.profiler", "trainer.detect_anomaly", "trainer.default_root_dir"),
    *(
        "trainer.enable_*",
        "trainer.num_sanity_val_steps",
        "trainer.limit_test_batches",
        "trainer.limit_predict_batches",
    ),
)
"""Settings that do not change what is learned, as patterns of their keys; with all keys below them."""
FREE_CALLBACKS = (
    *(f"cxr_lightning.training.callbacks.{name}" for name in ("FiniteLoss", "History", "LastCheckpoint", "Progress*")),
    "cxr_lightning.training.callbacks.snapshots",
    *(
        f"pytorch_lightning.callbacks.{name}"
        for name in ("DeviceStatsMonitor", "LearningRateMonitor", "*ProgressBar", "*ModelSummary")
    ),
)
"""Callbacks that do not change what is learned, as patterns of their ``_target_``."""
DATA_FOLDER = "data.root"
"""Key of the data's folder: data in another place may be the same."""

_LIGHTNING_DEFAULTS: Mapping[str, object] = {
    "trainer.accumulate_grad_batches": 1,
    "trainer.gradient_clip_algorithm": "norm",
    "trainer.max_steps": -1,
    "trainer.limit_train_batches": 1.0,
    "trainer.limit_val_batches": 1.0,
    "trainer.overfit_batches": 0.0,
    "trainer.val_check_interval": 1.0,
}
"""What the trainer takes null for."""
_COUNTS_OR_FRACTIONS = ("trainer.limit_*_batches", "trainer.overfit_batches", "trainer.val_check_interval")
"""Settings of which 1 is a number of batches, and 1.0 is all of them."""

_MAX_NAMED = 8
_MAX_BYTES = 10_000_000
"""Maximum size of settings.json; it takes thousands."""


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run, by dotted key; interpolations are resolved.

    Attributes:
        compared: Settings that determine what is learned: equal in the same run.
        length: Settings of how long it trains: the same run may go on with others.
        references: Keys whose value is that of another key, which is named in their place.
    """

    compared: dict[str, Any]
    length: dict[str, Any]
    references: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any], references: Mapping[str, str]) -> "RunSettings":
        """Sort the settings of a configuration.

        Args:
            values: Plain values by dotted key.
            references: Keys whose value is that of another key.
        """
        targets = {
            key.removesuffix("._target_"): str(value) for key, value in values.items() if key.endswith("._target_")
        }
        compared: dict[str, Any] = {}
        length: dict[str, Any] = {}
        for key, value in values.items():
            target = targets.get(".".join(key.split(".")[:2]), "") if key.startswith("callbacks.") else ""
            if _matches(target, LENGTH_CALLBACKS) or _is_below(key, LENGTH_SETTINGS):
                length[key] = value
            elif value is not None and is_compared(key) and not _matches(target, FREE_CALLBACKS):
                compared[key] = value
        return cls(compared, length, dict(references))


def is_compared(key: str) -> bool:
    """Whether a setting determines what is learned; of callbacks their class decides (:class:`RunSettings`)."""
    return not _is_below(key, FREE_SETTINGS)


def describe_differences(recorded: Mapping[str, Any], current: RunSettings) -> list[str]:
    """The settings with which a run is not the recorded one, each with both values; empty if it is the same.

    A setting that one of them lacks counts as null.

    Args:
        recorded: The compared settings of a run.
        current: The settings of the run that is about to start.

    Example:
        >>> describe_differences({"seed": 1, "optimizer.lr": 0.1}, RunSettings({"seed": 1, "optimizer.lr": 0.2}, {}))
        ['optimizer.lr (0.1 in that run, 0.2 now)']
    """
    found = different_keys(recorded, current)
    named = [_describe(key, recorded.get(key), current.compared.get(key)) for key in found[:_MAX_NAMED]]
    return named + ([f"and {len(found) - _MAX_NAMED} more"] if len(found) > _MAX_NAMED else [])


def different_keys(recorded: Mapping[str, Any], current: RunSettings) -> list[str]:
    """Keys of the settings with which a run is not the recorded one; of a node of another class its ``_target_`` alone.

    Args:
        recorded: The compared settings of a run.
        current: The settings of the run that is about to start.
    """
    keys = sorted({*recorded, *current.compared})
    different = [key for key in keys if not _is_same(key, recorded.get(key), current.compared.get(key))]
    nodes = {key.removesuffix("_target_") for key in different if key.endswith("._target_")}
    return [
        key
        for key in different
        if current.references.get(key) not in different
        and not any(key.startswith(node) and key != f"{node}_target_" for node in nodes)
    ]


def is_same_length(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether two runs have the same settings of length, however they are written."""
    return all(_is_same(key, recorded.get(key), current.get(key)) for key in {*recorded, *current})


def refuse_other_settings(recorded: Mapping[str, Any], current: RunSettings, checkpoint: str) -> None:
    """Refuse to resume a run with other settings; data in another folder may be the same, and is compared itself.

    Args:
        recorded: The compared settings of the run.
        current: The settings that are given now.
        checkpoint: Its checkpoint.

    Raises:
        ValueError: If they differ; the message names them.
    """
    same_folder = {DATA_FOLDER: current.compared.get(DATA_FOLDER)}
    if differences := describe_differences({**recorded, **same_folder}, current):
        raise ValueError(
            f"Expected the settings that '{checkpoint}' was trained with but these differ: {', '.join(differences)}. "
            "Give the same settings again, or start a new training from its weights with "
            f"{pasteable_override('model.weights', checkpoint)} instead."
        )


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Record the settings of a run in its folder."""
    with atomic_write_text(folder / SETTINGS_FILE) as file:
        content = {"compared": settings.compared, "length": settings.length}
        file.write(json.dumps(content, indent=1, default=str) + "\n")


def read_settings(folder: Path) -> RunSettings | None:
    """The recorded settings of the run in a folder; None if there are none that can be read."""
    try:
        content = parse_json(read_limited(folder / SETTINGS_FILE, _MAX_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    compared, length = content.get("compared"), content.get("length")
    return RunSettings(compared, length) if isinstance(compared, dict) and isinstance(length, dict) else None


def plain_settings(settings: RunSettings) -> dict[str, Any]:
    """The compared settings as JSON has them, so that they equal recorded ones."""
    content: dict[str, Any] = json.loads(json.dumps(settings.compared, default=str))
    return content


def _is_same(key: str, there: object, here: object) -> bool:
    """Whether two values of a setting are the same, however they are written."""
    default = _LIGHTNING_DEFAULTS.get(key)
    there, here = (default if value is None else value for value in (there, here))
    numbers = number_in(there), number_in(here)
    if None in numbers:
        return json.dumps(there, default=str) == json.dumps(here, default=str)
    is_same_kind = isinstance(numbers[0], int) == isinstance(numbers[1], int) or numbers[0] == 0
    return numbers[0] == numbers[1] and (is_same_kind or not _is_below(key, _COUNTS_OR_FRACTIONS))


def _is_below(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) or key.startswith(f"{pattern}.") for pattern in patterns)


def _matches(target: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(target, pattern) for pattern in patterns)


def _describe(key: str, there: object, here: object) -> str:
    return f"{key.removesuffix('._target_')} ({_text(there)} in that run, {_text(here)} now)"


def _text(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
