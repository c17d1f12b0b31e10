"""OmegaConf resolvers for ``${name:...}`` in ``conf/``."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.hydra_record import next_record
from cxr_lightning.app.monitor_check import DIRECTIONS, metric_mode
from cxr_lightning.app.output_folder import check_job_folder, is_training
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.sweep_folder import choose_job_folder
from cxr_lightning.app.written_arguments import written_attribute
from cxr_lightning.training.run_folder import choose_run_folder, is_finished, is_finished_as
from cxr_lightning.utils.distributed import broadcast_from_rank_zero, is_rank_zero

MODE_OF_NAME = "${monitor_mode:${monitor.name}}"
"""The value of ``monitor.mode`` in ``conf/``, which also takes the place of null."""
_AUTO_PRECISION = "cxr_lightning.utils.precision:auto_precision"
"""Imported when its value is needed, since torch takes seconds and ``--help`` needs none."""
_PHANTOM = "phantom"
"""Name of the layout whose settings are for the synthetic set: networks that start from random weights."""

_WITHOUT_TORCH = ContextVar("_WITHOUT_TORCH", default=False)


@contextmanager
def without_torch() -> Iterator[None]:
    """Within the block, a value that only torch can tell resolves to one that is always valid."""
    token = _WITHOUT_TORCH.set(True)
    try:
        yield
    finally:
        _WITHOUT_TORCH.reset(token)


def register_resolvers() -> None:
    """Register the resolvers; may be called again."""
    resolvers: dict[str, Callable[..., object]] = {
        "on_subset": _on_subset,
        "on_phantom": _on_phantom,
        "val_fraction": _val_fraction,
        "auto_precision": _auto_precision,
        "monitor_mode": _monitor_mode,
        "run_folder": _run_folder,
        "job_folder": _job_folder,
        "hydra_folder": _hydra_folder,
        "from_rank_zero": broadcast_from_rank_zero,
        "direction": _optuna_direction,
        "study_seed": _study_seed,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _on_subset(value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401  # any YAML value
    return value if _root_.data.subset is True else otherwise


def _on_phantom(value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401  # any YAML value
    target = str(OmegaConf.select(_root_, "data.source._target_"))  # a wrong source is told where it is
    return value if written_attribute(target, "name") == _PHANTOM else otherwise


def _val_fraction(train_images: Any, val_images: Any) -> float:  # noqa: ANN401  # may be of a wrong type: checked later
    try:
        return float(val_images / (train_images + val_images))
    except (TypeError, ZeroDivisionError):
        return math.nan


def _auto_precision(accelerator: str) -> str:
    if _WITHOUT_TORCH.get():
        return "32-true"
    precision: str = resolve_name(_AUTO_PRECISION)(accelerator)
    return precision


def _monitor_mode(name: object) -> str | None:
    return metric_mode(str(name))


def _optuna_direction(mode: str) -> str:
    return DIRECTIONS.get(mode, mode)


def _study_seed(storage: str | None, seed: int) -> int | None:
    return seed if storage is None else None


def _run_folder(ckpt_path: object, resume: object, train: object, new_folder: str, *, _root_: DictConfig) -> str:
    chosen = choose_run_folder(ckpt_path, resume, new_folder, partial(settings_of, _root_), train=train is True)
    return broadcast_from_rank_zero(chosen)


def _job_folder(number: int, sweep: str, resume: object, *, _root_: DictConfig) -> str:
    return choose_job_folder(Path(sweep), number, resume, _root_)


def _hydra_folder(output_dir: str, *, _root_: DictConfig) -> str | None:
    """Name of the folder for Hydra's record, beside those of earlier starts; None if this start is to write nothing."""
    if not is_rank_zero():
        return None
    folder = Path(output_dir)
    try:
        check_job_folder(_root_, folder, sweep=True)
    except ValueError:  # the job refuses it
        return None
    if is_training(_root_) and is_finished(folder) and is_finished_as(folder, settings_of(_root_)):
        return None
    return next_record(folder)
