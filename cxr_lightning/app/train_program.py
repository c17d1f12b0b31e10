"""train.py: check the settings, then import the job and run it."""

import logging
from contextlib import nullcontext
from pathlib import Path
from pkgutil import resolve_name

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cxr_lightning.app.output_folder import check_run_folder
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train_settings import read_train_settings
from cxr_lightning.training.run_folder import (
    explain_new_run,
    is_finished_as,
    last_checkpoint,
    locked_run_folder,
)
from cxr_lightning.utils.distributed import is_rank_zero

logger = logging.getLogger(__name__)

_JOB = "cxr_lightning.app.train_job:run_training"
_SHOW = "cxr_lightning.app.train_job:show_outcome"
_FINISHED_RESULT = "cxr_lightning.training.summary_model:finished_result"
"""Imported after the checks, since torch and Lightning take seconds."""


def run_train_program(config: DictConfig, *, show: bool = True) -> float | None:
    """Train, test the best checkpoint, and write the run's folder.

    Args:
        config: ``conf/train.yaml``, composed.
        show: Whether to print the table of the test.

    Returns:
        Best value of the monitored metric (for a sweep), or None if nothing was trained.

    Raises:
        ValueError: If the configuration or the data is wrong.
        FileNotFoundError: If a file of the data is not there.
    """
    settings = read_train_settings(config, HydraConfig.get().overrides.task)
    folder = Path(settings.paths.output_dir)
    with locked_run_folder(folder) if is_rank_zero() else nullcontext():
        if is_rank_zero():
            check_run_folder(config, folder, sweep=HydraConfig.get().mode == RunMode.MULTIRUN)
        ckpt_path = settings.ckpt_path
        if settings.resume == "auto":
            if is_finished_as(folder, settings_of(config)):
                result: float | None = resolve_name(_FINISHED_RESULT)(folder)
                return result
            last = last_checkpoint(folder)
            ckpt_path = None if last is None else str(last)
            if is_rank_zero() and last is None and (reason := explain_new_run(folder, settings_of(config))):
                logger.warning("starting a new run: %s", reason)
        outcome = resolve_name(_JOB)(config, settings, folder, ckpt_path)
        if show:
            resolve_name(_SHOW)(outcome)
        monitored: float | None = outcome.monitored
        return monitored
