"""One run: train, test the best checkpoint, write the summary."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from cxr_lightning.checkpoints.load import load_weights
from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.report.wording import data_title
from cxr_lightning.training.callbacks import BestCheckpoint, History, LastCheckpoint
from cxr_lightning.training.callbacks.resumed_run import ResumedRun
from cxr_lightning.training.restored_state import check_progress, explain_restoring, is_from_restoring
from cxr_lightning.training.resume import check_epochs_left, check_fits, check_resumable, is_stopped, read_resumable
from cxr_lightning.training.run_settings import RunSettings, write_settings
from cxr_lightning.training.state_structure import RestoredStateError
from cxr_lightning.training.summary import summarize_run, write_summary
from cxr_lightning.utils.precision import exact_float32
from cxr_lightning.utils.signals import raise_if_stopped
from cxr_lightning.utils.trainer_callbacks import find_callback

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlan:
    """Steps and settings of a run.

    Attributes:
        folder: The run's folder.
        settings: Its settings, as far as they tell which run it is.
        train: Whether to train.
        test: Whether to test the best checkpoint.
        monitor: Name of the monitored metric.
        mode: ``max`` or ``min``, whichever is better.
        ckpt_path: Checkpoint to resume from, or to test; None for a new run.
        may_be_complete: Whether the training in the checkpoint may be complete already.
        started: Start of the run by ``time.perf_counter``.
    """

    folder: Path
    settings: RunSettings
    train: bool
    test: bool
    monitor: str
    mode: str
    ckpt_path: str | None
    may_be_complete: bool
    started: float


@dataclass(frozen=True)
class RunOutcome:
    """Results of a run.

    Attributes:
        monitored: Best value of the monitored metric; None if nothing was trained or it was never defined.
        summary: Content of summary.json; None except in the process of rank zero.
    """

    monitored: float | None
    summary: dict[str, Any] | None


def execute_run(
    trainer: pl.Trainer,
    model: ChestXRayClassifier,
    datamodule: ChestXRayDataModule,
    history: History,
    plan: RunPlan,
) -> RunOutcome:
    """Train, test the best checkpoint, and write the summary.

    Args:
        trainer: The trainer.
        model: The model, with the metadata of its data.
        datamodule: The data, set up.
        history: The trainer's callback that keeps the run's history.
        plan: What to do.

    Raises:
        ValueError: If the checkpoint to resume from has another model or other data, or no step was made.
    """
    history.title = data_title(model.metadata["data"])
    history.constant_loss = model.metadata["constant_loss"]["val"]
    if plan.train:
        _fit(trainer, model, datamodule, plan)
        tested = _best_checkpoint(trainer, history, plan.monitor) or plan.ckpt_path
        monitored = _best_monitored(trainer, plan.monitor)
    else:
        tested, monitored = plan.ckpt_path, None
        check_fits(str(tested), read_checkpoint(str(tested)), model)
    if plan.test:
        raise_if_stopped()
        if tested is not None:
            load_weights(model, tested)  # Lightning would load callbacks' states too; one that averages undoes it
        with exact_float32():
            trainer.test(model, datamodule, verbose=False)
    if not trainer.is_global_zero:
        return RunOutcome(monitored, None)
    summary = summarize_run(
        history.rows,
        model,
        monitor={"name": plan.monitor, "mode": plan.mode, "best": monitored},
        best_checkpoint=tested,
        tested=plan.test and not trainer.fast_dev_run,  # type: ignore[attr-defined]  # set by Lightning's connector
        seconds=time.perf_counter() - plan.started,
    )
    write_summary(summary, plan.folder)
    return RunOutcome(monitored, summary)


def _fit(trainer: pl.Trainer, model: ChestXRayClassifier, datamodule: ChestXRayDataModule, plan: RunPlan) -> None:
    ckpt_path = None
    if plan.ckpt_path:
        ckpt_path, content = read_resumable(plan.ckpt_path)
        check_resumable(ckpt_path, content, plan.settings)
        check_fits(ckpt_path, content, model)
        check_progress(ckpt_path, content, trainer, [name for name, _ in model.named_parameters()])
        check_epochs_left(ckpt_path, content, trainer, may_be_complete=plan.may_be_complete)
        if (last := find_callback(trainer, LastCheckpoint)) is not None:
            last.stays_stopped = is_stopped(content, trainer)
        resumed = find_callback(trainer, ResumedRun)
        assert resumed is not None, "every run has one"
        resumed.resumed_from = ckpt_path, content
    raise_if_stopped()
    logger.info("run folder: %s%s", plan.folder, f", going on from {Path(ckpt_path).name}" if ckpt_path else "")
    try:
        trainer.fit(model, datamodule, ckpt_path=ckpt_path, weights_only=True)
    except Exception as error:
        if ckpt_path is None or isinstance(error, RestoredStateError) or not is_from_restoring(error):
            raise
        raise explain_restoring(error, ckpt_path) from error
    if trainer.global_step == 0:
        raise ValueError(
            "Expected a training but it ended before its first step, so that the weights are still the initial ones. "
            "Raise `trainer.max_time`, or the `duration` of a Timer among the callbacks, whichever ended it."
        )
    if trainer.is_global_zero:  # recorded at the start of training, unless nothing was left to train
        write_settings(plan.folder, plan.settings)


def _best_checkpoint(trainer: pl.Trainer, history: History, monitor: str) -> str | None:
    """Path of the best checkpoint, or of the last one where none was kept; None if there is neither."""
    best, last = find_callback(trainer, BestCheckpoint), find_callback(trainer, LastCheckpoint)
    if best is not None and best.best_model_path:
        return str(best.best_model_path)
    path = str(last.path) if last is not None and last.path.is_file() else None
    if best is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by Lightning's connector
        defined = history.was_defined(monitor)  # also in the epochs before a run is resumed
        if defined is None:
            defined = _last_monitored(trainer, monitor) is not None
        reason = (
            "no best checkpoint was kept with these settings of `callbacks.model_checkpoint`"
            if defined
            else f"the monitored metric, {monitor}, was never defined"
        )
        logger.warning("%s; using the %s", reason, "last checkpoint" if path else "weights that training ended with")
    return path


def _best_monitored(trainer: pl.Trainer, monitor: str) -> float | None:
    """Best value of the monitored metric; its last value where no best checkpoint was kept."""
    best = find_callback(trainer, BestCheckpoint)
    if best is None or not best.best_model_path:
        return _last_monitored(trainer, monitor)
    score = best.best_model_score
    return None if score is None or not math.isfinite(float(score)) else float(score)


def _last_monitored(trainer: pl.Trainer, monitor: str) -> float | None:
    """The monitored metric when it was last logged; None if it never was, or is not defined."""
    score = trainer.callback_metrics.get(monitor)
    return None if score is None or not math.isfinite(float(score)) else float(score)
