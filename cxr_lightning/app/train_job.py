"""The job of train.py: instantiate the configuration, train and test."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import LearningRateFinder, LearningRateMonitor, ProgressBar
from rich import get_console
from torch import Tensor

from cxr_lightning.app.entry_point import ignore_intended_warnings
from cxr_lightning.app.instantiation import (
    configured_factories,
    factory_classes,
    instantiate_group,
    instantiate_node,
    part_of,
    start_loggers,
)
from cxr_lightning.app.monitor_check import monitored_metrics
from cxr_lightning.app.next_command import evaluate_command
from cxr_lightning.app.part_errors import TRAINER_KEY, Part, naming_key_of_hook
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train_settings import TrainSettings
from cxr_lightning.data.excluded_images import write_excluded_images
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.report.terminal_tables import auroc_table
from cxr_lightning.report.wording import data_title
from cxr_lightning.training.batch_limits import tested_images
from cxr_lightning.training.build import (
    SWITCHED_CALLBACKS,
    build_model,
    complete_callbacks,
    trainer_arguments,
)
from cxr_lightning.training.callbacks import History, ProgressLog
from cxr_lightning.training.run import RunPlan, execute_run
from cxr_lightning.training.run_check import PlannedRun, check_run_fits_data
from cxr_lightning.training.run_folder import resumes_unfinished_run
from cxr_lightning.training.run_settings import plain_settings
from cxr_lightning.utils.file_names import SETTINGS_KEY
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.progress import can_draw_bars
from cxr_lightning.utils.terminal import say
from cxr_lightning.utils.text_tables import TextTable, show_table
from cxr_lightning.utils.trainer_callbacks import callbacks_of

if TYPE_CHECKING:
    from cxr_lightning.data.datamodule import ChestXRayDataModule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConfiguredTrainer:
    """A trainer and what it was given.

    Attributes:
        trainer: The trainer.
        history: Its callback that keeps the run's history.
        configured_objects: The nodes of the trainer, its callbacks and its loggers, each with the object.
    """

    trainer: pl.Trainer
    history: History
    configured_objects: Sequence[tuple[Part, object]]

    @property
    def callbacks(self) -> dict[str, pl.Callback]:
        """The configured callbacks that the trainer has, by their dotted keys."""
        used = callbacks_of(self.trainer, pl.Callback)
        return {part.key: one for part, one in self.configured_objects if isinstance(one, pl.Callback) and one in used}


@dataclass(frozen=True)
class TrainingOutcome:
    """Results of a run for the program that started it.

    Attributes:
        monitored: Best value of the monitored metric; None if nothing was trained or it was never defined.
        table: AUROC of each finding on validation and test images; None without a test.
        folder: The run's folder; None except in the process of rank zero.
        checkpoint: Path of the checkpoint to evaluate; None if there is none.
    """

    monitored: float | None
    table: TextTable | None
    folder: Path | None
    checkpoint: str | None = None


def run_training(config: DictConfig, settings: TrainSettings, folder: Path, ckpt_path: str | None) -> TrainingOutcome:
    """Run a training.

    Args:
        config: ``conf/train.yaml``, composed and checked.
        settings: Its plain settings.
        folder: The run's folder.
        ckpt_path: Checkpoint to resume from, or to test; None for a new run.
    """
    ignore_intended_warnings()
    started = time.perf_counter()
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    resumed = settings.train and ckpt_path is not None
    configured = configured_trainer(config, resumed=resumed)
    datamodule: ChestXRayDataModule = instantiate_node(config, "data")
    datamodule.prepare_data()
    datamodule.setup("fit" if settings.train else "test")
    planned = PlannedRun(
        configured.trainer,
        configured.callbacks,
        train=settings.train,
        test=settings.test,
        monitor=settings.monitor.name,
        monitored=monitored_metrics(settings),
    )
    check_run_fits_data(planned, datamodule)
    model = configured_model(config, datamodule)
    plan = RunPlan(
        folder=folder,
        settings=settings_of(config),
        train=settings.train,
        test=settings.test,
        monitor=settings.monitor.name,
        mode=str(settings.monitor.mode),
        ckpt_path=ckpt_path,
        may_be_complete=settings.resume == "auto" or resumes_unfinished_run(ckpt_path, folder),
        started=started,
    )
    with naming_key_of_hook([*configured.configured_objects, *factory_classes(config)]):
        outcome = execute_run(configured.trainer, model, datamodule, configured.history, plan)
    if outcome.summary is None:
        return TrainingOutcome(outcome.monitored, None, None)
    write_excluded_images(datamodule.manifest, folder)
    table = None
    if outcome.summary["test"] is not None:
        tested = tested_images(configured.trainer, datamodule)
        table = _test_table(outcome.summary["test"], model, datamodule.targets("test"), tested)
    return TrainingOutcome(outcome.monitored, table, folder, outcome.summary["best_checkpoint"])


def show_outcome(outcome: TrainingOutcome) -> None:
    """Print the table of the test, the run's folder, and the next command, which a sweep has at its end."""
    if outcome.table is not None:
        show_table(outcome.table)
    if outcome.folder is not None:
        say(f"run folder: {outcome.folder}")
    if outcome.checkpoint is not None and HydraConfig.get().mode != RunMode.MULTIRUN:
        logger.info("to evaluate it: %s", evaluate_command(outcome.checkpoint))


def configured_model(config: DictConfig, datamodule: "ChestXRayDataModule") -> ChestXRayClassifier:
    """The model of a composed ``conf/train.yaml``, with what is derived from the training data."""
    settings: Any = OmegaConf.to_container(config.model, resolve=True)
    return build_model(
        datamodule,
        instantiate_node(config, "loss"),
        partial(instantiate_node, config, "model", **configured_factories(config)),
        settings,
        folder=Path(config.paths.output_dir),
        metadata={
            "precision": config.trainer.precision,
            "monitor": config.monitor.name,
            "loss_settings": OmegaConf.to_container(config.loss, resolve=True),
            SETTINGS_KEY: plain_settings(settings_of(config)),
        },
    )


def configured_trainer(config: DictConfig, *, resumed: bool = False) -> ConfiguredTrainer:
    """The trainer with its callbacks and loggers.

    Args:
        config: ``conf/train.yaml``, composed and checked.
        resumed: Whether the run resumes from a checkpoint.
    """
    loggers, configured = instantiate_group(config, "logger"), instantiate_group(config, "callbacks")
    callbacks, history = complete_callbacks(
        _used_callbacks(config, configured.values(), has_logger=bool(loggers), resumed=resumed),
        folder=config.paths.output_dir,
        seed=config.seed,
        settings=settings_of(config),
        text=f"{OmegaConf.to_yaml(config)}{config.paths.output_dir}",
    )
    trainer: pl.Trainer = instantiate_node(config, TRAINER_KEY, **trainer_arguments(callbacks, list(loggers.values())))
    start_loggers(config, {key: logger for key, logger in loggers.items() if logger in trainer.loggers})
    objects: dict[str, object] = {TRAINER_KEY: trainer, **configured, **loggers}
    return ConfiguredTrainer(trainer, history, [(part_of(config, key), one) for key, one in objects.items()])


def _used_callbacks(
    config: DictConfig, configured: Iterable[pl.Callback], *, has_logger: bool, resumed: bool
) -> list[pl.Callback]:
    """The configured callbacks that have something to do, and the log of the progress unless that is removed."""
    unused = [kind for name, kind in SWITCHED_CALLBACKS.items() if config.trainer.get(name) is False]
    if not has_logger:
        unused.append(LearningRateMonitor)
    if resumed:  # with the learning rate in the checkpoint
        unused.append(LearningRateFinder)
    used = [callback for callback in configured if not isinstance(callback, tuple(unused))]
    if not can_draw_bars(get_console()):
        for bar in (callback for callback in used if isinstance(callback, ProgressBar)):
            bar.disable()
    is_logged = any(isinstance(callback, ProgressLog) for callback in used)
    if not is_logged and "progress_log" not in (config.get("callbacks") or {}):
        used.append(ProgressLog())
    return used


def _test_table(test: Mapping[str, Any], model: ChestXRayClassifier, targets: Tensor, tested: int) -> TextTable:
    """The table of a test on the first of the test images, whose targets are ``(N, C)``."""
    if tested < len(targets):
        logger.warning("tested on the first %d of %d test images (trainer.limit_test_batches)", tested, len(targets))
    targets = targets[:tested]
    counts = zip((targets == 1).sum(0).tolist(), (~targets.isnan()).sum(0).tolist(), strict=True)
    return auroc_table(
        model.val_auroc_by_label,
        model.test_auroc_by_label,
        dict(zip(model.labels, counts, strict=True)),
        (null_to_nan(test["macro_auroc"]), test["defined_labels"]),
        title=data_title(model.metadata["data"]),
    )
