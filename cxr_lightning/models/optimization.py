"""Learning-rate schedules and gradient clipping for Lightning's hooks."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cxr_lightning.models.setting_rules import STEPS_ARGUMENT, clipping_problem, length_problem
from cxr_lightning.utils.trainer_callbacks import find_callback

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
MakeScheduler = Callable[..., LRScheduler | ReduceLROnPlateau]


def configure_schedule(
    optimizer: Optimizer, make_scheduler: MakeScheduler, trainer: pl.Trainer, monitor: str
) -> OptimizerLRScheduler:
    """The optimizer and its schedule, as Lightning's ``configure_optimizers`` returns them.

    Args:
        optimizer: The optimizer.
        make_scheduler: Factory of the schedule, from the optimizer, and from ``total_steps`` if it takes that argument.
        trainer: The trainer, for the number of steps and the interval between validations.
        monitor: Logged name of the metric that a plateau schedule monitors.

    Raises:
        ValueError: If the schedule needs the number of steps and the run has no end.
    """
    arguments = inspect.signature(make_scheduler).parameters
    if STEPS_ARGUMENT in arguments:
        steps = _number_of_steps(trainer)
        if problem := length_problem(arguments, steps):
            raise ValueError(problem)
        schedule = make_scheduler(optimizer, total_steps=int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
    schedule = make_scheduler(optimizer)
    if not isinstance(schedule, ReduceLROnPlateau):
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}
    # The monitored metric exists only in epochs with validation.
    frequency = trainer.check_val_every_n_epoch or 1
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "epoch", "frequency": frequency, "monitor": monitor},
    }


def _number_of_steps(trainer: pl.Trainer) -> float:
    """Number of optimizer steps of a run; Lightning's own number takes the accumulation of gradients for constant."""
    steps = trainer.estimated_stepping_batches  # also loads what the line below counts
    scheduler = find_callback(trainer, GradientAccumulationScheduler)
    if scheduler is None:
        return steps
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    if epochs is None or epochs < 0 or math.isinf(batches):
        return steps
    counted = sum(math.ceil(batches / scheduler.get_accumulate_grad_batches(epoch)) for epoch in range(epochs))
    return counted if trainer.max_steps == -1 else min(counted, trainer.max_steps)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all of an optimizer's parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def step_plateau_schedules(trainer: pl.Trainer) -> None:
    """Step the plateau schedules that are due after this epoch."""
    epoch = trainer.current_epoch + 1
    for config in trainer.lr_scheduler_configs:
        monitored = trainer.callback_metrics.get(config.monitor or "")
        if config.reduce_on_plateau and epoch % config.frequency == 0 and monitored is not None:
            config.scheduler.step(float(monitored))  # type: ignore[arg-type]  # a plateau schedule takes the metric


@contextmanager
def scheduled_groups(scheduler: LRScheduler) -> Iterator[None]:
    """Within the block, an optimizer has only the groups of parameters that its schedule knows.

    A callback that unfreezes layers has added the others, and sets their learning rate itself.

    Args:
        scheduler: A schedule.
    """
    optimizer = scheduler.optimizer
    groups = optimizer.param_groups
    optimizer.param_groups = groups[: len(scheduler.get_last_lr())]
    try:
        yield
    finally:
        optimizer.param_groups = groups


def is_fused(optimizer: Optimizer) -> bool:
    """Whether an optimizer is fused; Lightning itself refuses to clip gradients for it."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def clip_fused(optimizer: Optimizer, clip_value: float, algorithm: str | None, precision_plugin: Any) -> None:  # noqa: ANN401  # Lightning's
    """Clip the gradients of a fused optimizer, which is correct unless they are scaled.

    Args:
        optimizer: A fused optimizer.
        clip_value: Limit of the gradients' norm, or of each gradient.
        algorithm: ``value`` or ``norm`` (also None).
        precision_plugin: The trainer's precision plugin, which scales gradients in float16.

    Raises:
        ValueError: If gradients are scaled (16-mixed).
    """
    scales = getattr(precision_plugin, "scaler", None) is not None
    if problem := clipping_problem(is_fused=is_fused(optimizer), scales_gradients=scales):
        raise ValueError(problem)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if algorithm == "value":
        nn.utils.clip_grad_value_(parameters, clip_value)
    else:
        nn.utils.clip_grad_norm_(parameters, clip_value)
