"""The monitored metrics: whether they are logged, which mode is theirs, and whether there is a validation for them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.written_arguments import written_arguments
from cxr_lightning.utils.plugins import trusted_packages
from cxr_lightning.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from cxr_lightning.app.train_settings import TrainSettings

MonitorMode = Literal["min", "max"]
DIRECTIONS = {"min": "minimize", "max": "maximize"}
"""The direction of a search by the mode of what it optimizes, in Optuna's words."""
_LOGGED = ("train/loss", "val/loss", "val/auroc", "val/defined_labels")
_LABEL_PREFIX = "val/auroc/"
_LIGHTNING_DEFAULT: MonitorMode = "min"
"""MonitorMode of Lightning's callbacks where none is given."""


@dataclass(frozen=True)
class Monitoring:
    """A part of a run that monitors a metric.

    Attributes:
        part: Dotted key of the part.
        key: Dotted key of the metric's name.
        name: Name of the metric.
        mode_key: Dotted key of the mode.
        mode: ``min`` or ``max``; None if it is not known.
    """

    part: str
    key: str
    name: str
    mode_key: str
    mode: str | None


def metric_mode(name: str) -> MonitorMode | None:
    """Whether a metric is better when lower or higher; None if its name does not tell.

    Args:
        name: Logged name of the metric.

    Example:
        >>> metric_mode("val/loss"), metric_mode("val/auroc/Edema"), metric_mode("val/mine")
        ('min', 'max', None)
    """
    modes: dict[str, MonitorMode] = {"loss": "min", "auroc": "max"}
    return modes.get(f"{name}//".split("/")[1])


def check_direction(config: DictConfig) -> None:
    """Refuse a search in another direction than that of the monitored metric, by which the leaderboard ranks its jobs.

    Args:
        config: The composed configuration of its first job, with Hydra's.

    Raises:
        ValueError: If it is no direction, or the other one.
    """
    keys = ("hydra.sweeper.direction", "monitor.name", "monitor.mode")
    direction, name, mode = (OmegaConf.select(config, key) for key in keys)
    direction = direction.name if isinstance(direction, Enum) else direction  # the default of Hydra's plugin is one
    if not isinstance(direction, str) or mode not in DIRECTIONS:  # a wrong mode is told where it is
        return
    expected = DIRECTIONS[str(mode)]
    if direction.lower() != expected:
        raise ValueError(
            f"Expected {expected} as 'hydra.sweeper.direction' with {name} and mode {mode} but got '{direction}'. "
            "Leave it out."
        )


def monitor_problems(settings: "TrainSettings", labels: Sequence[str] | None) -> Iterator[str]:
    """Describe monitored metrics that are not logged, modes that contradict them, and a validation that is missing.

    Args:
        settings: The settings.
        labels: Labels that are trained; None if only the data tell them.
    """
    main = Monitoring("monitor", "monitor.name", settings.monitor.name, "monitor.mode", settings.monitor.mode)
    parts = list(_monitoring_parts(settings))
    reported: set[str] = set()
    for one in (main, *parts):
        if one.name not in reported and (problem := _unknown_name(one, labels)):
            reported.add(one.name)
            yield problem
    if main.name not in reported and metric_mode(main.name) is None and main.mode is None:
        yield f"Expected `monitor.mode` (min or max) for '{main.name}' but got none. Set it: the name does not tell."
    yield from _wrong_modes([main, *parts])
    if not is_plateau(settings.scheduler) and settings.model.get("monitor") not in (None, main.name):
        yield (
            f"Expected 'scheduler=plateau' beside 'model.monitor', which no other schedule uses, but got "
            f"'{settings.model['monitor']}' without it. Leave it out."
        )
    for one in parts:
        if one.part == "callbacks.model_checkpoint" and one.name != main.name:
            yield (
                f"Expected the metric of the best checkpoint to be `monitor.name`, {main.name}, but '{one.key}' is "
                f"{one.name}. Set 'monitor.name={one.name}' alone."
            )
    yield from _without_validation(settings, parts)


def monitored_metrics(settings: "TrainSettings") -> dict[str, list[str]]:
    """The metrics that callbacks and the schedule monitor, with the dotted keys of these parts.

    Args:
        settings: The settings.
    """
    return _parts_by_metric(_monitoring_parts(settings))


def _parts_by_metric(parts: Iterable[Monitoring]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in parts:
        found.setdefault(one.name, []).append(one.part)
    return found


def _monitoring_parts(settings: "TrainSettings") -> Iterator[Monitoring]:
    for name, node in (settings.callbacks or {}).items():
        if isinstance(node, Mapping) and isinstance(node.get("monitor"), str):
            key = f"callbacks.{name}"
            yield Monitoring(key, f"{key}.monitor", node["monitor"], f"{key}.mode", _mode_of(node))
    if is_plateau(settings.scheduler) and isinstance(settings.model.get("monitor"), str):
        mode = settings.scheduler.get("mode", _LIGHTNING_DEFAULT)  # torch has the same default
        yield Monitoring("scheduler", "model.monitor", settings.model["monitor"], "scheduler.mode", mode)


def is_plateau(scheduler: Mapping[str, Any]) -> bool:
    """Whether a schedule is torch's plateau schedule, which monitors a metric."""
    return str(scheduler.get("_target_")).rpartition(".")[2] == "ReduceLROnPlateau"


def _mode_of(node: Mapping[str, Any]) -> str | None:
    if "mode" in node:
        return None if node["mode"] is None else str(node["mode"])
    arguments = written_arguments(str(node.get("_target_")))
    return _LIGHTNING_DEFAULT if arguments is not None and "mode" in arguments.types else None


def _unknown_name(one: Monitoring, labels: Sequence[str] | None) -> str | None:
    known = [*_LOGGED, *(f"{_LABEL_PREFIX}{label}" for label in labels or ())]
    is_label = one.name.startswith(_LABEL_PREFIX)
    if one.name in known or (is_label and labels is None):
        return None
    is_misspelled = is_label or _letters(one.name) in {_letters(name) for name in known}
    if trusted_packages() and not is_misspelled:  # they may log further metrics
        return None
    listed = ", ".join((*_LOGGED, f"{_LABEL_PREFIX}LABEL"))
    hint = did_you_mean(one.name, known)
    return f"Expected a logged metric as '{one.key}' but got '{one.name}'. {hint}{' ' * bool(hint)}Logged are {listed}."


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _wrong_modes(parts: Sequence[Monitoring]) -> Iterator[str]:
    wrong: dict[str, Monitoring] = {}
    for one in parts:
        if one.mode is not None and one.mode not in DIRECTIONS:
            hint = did_you_mean(one.mode, DIRECTIONS)
            yield (
                f"Expected min or max as '{one.mode_key}' but got '{one.mode}'. {hint}{' ' * bool(hint)}Leave it out, "
                "or write ${monitor.mode}."
            )
        mode = metric_mode(one.name)
        if mode is not None and one.mode in {*DIRECTIONS} - {mode}:
            wrong.setdefault(one.name, one)  # the others have the mode from there
    for one in wrong.values():
        mode = metric_mode(one.name)
        words = "lower" if mode == "min" else "higher"
        remedy = "Leave it out" if one.part == "monitor" else f"Set '{one.mode_key}={mode}'"
        yield (
            f"Expected {mode} as '{one.mode_key}' with {one.name}, which is better when it is {words}, but got "
            f"{one.mode}. {remedy}."
        )


def _without_validation(settings: "TrainSettings", parts: Sequence[Monitoring]) -> Iterator[str]:
    trainer = settings.trainer
    if not settings.train or trainer.get("fast_dev_run"):
        return
    every, epochs = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs")
    if isinstance(every, int) and isinstance(epochs, int) and every > epochs > 0:
        yield (
            f"Expected a validation within {epochs} epochs but 'trainer.check_val_every_n_epoch' is {every}. Lower it, "
            "or set 'trainer.limit_val_batches=0 monitor.name=train/loss' to train without validation."
        )
    if trainer.get("limit_val_batches") == 0 and not trainer.get("overfit_batches"):
        for name, keys in _parts_by_metric(parts).items():
            if not name.startswith("val/"):
                continue
            yield (
                f"Expected validation for {name}, which {' and '.join(map(repr, keys))} monitor, but "
                "'trainer.limit_val_batches' is 0. Leave it out, or set 'monitor.name=train/loss'."
            )
