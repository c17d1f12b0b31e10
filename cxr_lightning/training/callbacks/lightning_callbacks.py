"""Callbacks of Lightning in a run of this package: those that cannot work, and what the others need."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    BatchSizeFinder,
    DeviceStatsMonitor,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    OnExceptionCheckpoint,
    ProgressBar,
    SpikeDetection,
    StochasticWeightAveraging,
    ThroughputMonitor,
    WeightAveraging,
)
from torch.nn.modules.batchnorm import _BatchNorm

from cxr_lightning.training.state_structure import RestoredStateError
from cxr_lightning.utils.trainer_callbacks import callbacks_of

logger = logging.getLogger(__name__)

_REFUSED: Mapping[type[pl.Callback], str] = {
    BatchSizeFinder: "it changes the batch size after schedule and records are made. Set `data.batch_size`",
    ModelPruning: "it cannot prune weights in the layout that they have here, channels last. Leave it out",
    OnExceptionCheckpoint: "Lightning would resume from its file unasked. `callbacks.last_checkpoint` saves often",
    SpikeDetection: "Lightning cannot load its state again. `callbacks.finite_loss` stops at a loss that is not finite",
}
"""Callbacks that cannot work here: why, and what to do instead."""
_AVERAGING = (WeightAveraging, StochasticWeightAveraging)
_WITH_LOGGER = (DeviceStatsMonitor, ThroughputMonitor)
_AVERAGING_RESUMED = (
    "Expected a training that can be resumed but one with StochasticWeightAveraging cannot be: Lightning restores "
    "neither its schedule nor its last epoch. Start it anew, or use EMAWeightAveraging."
)


def callback_problems(
    kinds: Sequence[type[pl.Callback]], *, has_logger: bool, has_frozen_backbone: bool, resumed: bool
) -> Iterator[str]:
    """Describe callbacks that cannot work, in this run or in any.

    Args:
        kinds: Classes of the configured callbacks.
        has_logger: Whether there is a logger.
        has_frozen_backbone: Whether only the last layer is trained.
        resumed: Whether the run resumes from a checkpoint.
    """
    for kind in kinds:
        name = kind.__name__
        if reason := next((reason for refused, reason in _REFUSED.items() if issubclass(kind, refused)), None):
            yield f"Expected callbacks that work here but got {name}: {reason}."
        if kind is BaseFinetuning:
            yield f"Expected a callback but {name} is a base class of some. Name BackboneFinetuning instead."
        if issubclass(kind, _WITH_LOGGER) and not has_logger:
            yield f"Expected a logger beside {name} but got none. Choose one, such as logger=csv."
        if issubclass(kind, BaseFinetuning) and has_frozen_backbone:
            yield (
                f"Expected {name} or `model.freeze_backbone` but got both. Set 'model.freeze_backbone=false': "
                f"{name} freezes by itself."
            )
    if any(issubclass(kind, StochasticWeightAveraging) for kind in kinds):
        yield from _averaging_problems(kinds, resumed=resumed)
    averaging = [kind.__name__ for kind in kinds if issubclass(kind, _AVERAGING)]
    if len(averaging) > 1:
        yield f"Expected one callback that averages weights but got {', '.join(averaging)}. Leave the others out."
    bars = [kind.__name__ for kind in kinds if issubclass(kind, ProgressBar)]
    if len(bars) > 1:
        yield f"Expected one progress bar but got {', '.join(bars)}. Set callbacks.progress_bar=null to use another."


def _averaging_problems(kinds: Sequence[type[pl.Callback]], *, resumed: bool) -> Iterator[str]:
    if resumed:
        yield _AVERAGING_RESUMED
    if any(issubclass(kind, EarlyStopping) for kind in kinds):
        yield (
            "Expected StochasticWeightAveraging or EarlyStopping but got both: weights are averaged after the last "
            "epoch. Set callbacks.early_stopping=null."
        )


class LightningCallbacks(pl.Callback):
    """Complete what Lightning's own callbacks do when a fit begins, above all in a run that is resumed."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse to average weights where Lightning would do so after the last checkpoint is written."""
        if stage != "fit" or not callbacks_of(trainer, StochasticWeightAveraging):
            return
        if trainer.max_epochs == -1 or not any(isinstance(module, _BatchNorm) for module in pl_module.modules()):
            raise ValueError(
                "Expected a network with batch normalization and a number of epochs for StochasticWeightAveraging, "
                "which otherwise averages after the last checkpoint is written. Use EMAWeightAveraging."
            )

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to resume while averaging weights, also from a checkpoint that ``resume=auto`` has found."""
        if callbacks_of(trainer, StochasticWeightAveraging):
            raise RestoredStateError(_AVERAGING_RESUMED)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore what Lightning does not, and check that a learning rate was found."""
        for schedule in callbacks_of(trainer, GradientAccumulationScheduler):  # not in an epoch that is resumed within
            trainer.accumulate_grad_batches = schedule.get_accumulate_grad_batches(trainer.current_epoch)
        for finetuning in callbacks_of(trainer, BackboneFinetuning):
            if finetuning.previous_backbone_lr is not None:  # it was unfrozen before the run was interrupted
                finetuning.make_trainable(pl_module.backbone)
        for finder in callbacks_of(trainer, LearningRateFinder):
            _check_found(finder, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn if training ended before weights were averaged."""
        # The average is made in the epoch after the last, which an early stop or a limit of steps leaves out.
        averaging = callbacks_of(trainer, StochasticWeightAveraging)
        if any(trainer.current_epoch <= callback.swa_end + 1 for callback in averaging):
            logger.warning("training ended before StochasticWeightAveraging had averaged the weights")


def _check_found(finder: LearningRateFinder, pl_module: pl.LightningModule) -> None:
    if finder.optimal_lr is None:  # a debugging run
        return
    rate = finder.optimal_lr.suggestion()
    if rate is None:
        made, requested = len(finder.optimal_lr.results["loss"]), finder.optimal_lr.num_training
        reason = (
            f"it made {made} of its {requested} steps. If the loss had risen too far (`early_stop_threshold`), lower "
            "`min_lr` and `max_lr`; if the training was shorter, raise `trainer.max_epochs`"
            if made < requested
            else f"{made} steps are too few. Raise its `num_training_steps`"
        )
        raise ValueError(
            f"Expected LearningRateFinder to find a learning rate but {reason}, or set `optimizer.lr` without it."
        )
    logger.info("learning rate found: %g%s", rate, "" if pl_module.lr == rate else ", and not used")
