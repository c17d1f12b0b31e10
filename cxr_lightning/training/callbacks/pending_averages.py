"""Averages of weights before their first update: until then, the current weights are validated, saved and tested."""

import itertools
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging, WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cxr_lightning.utils.trainer_callbacks import callbacks_of

logger = logging.getLogger(__name__)


class PendingAverages(pl.Callback):
    """Let averages follow the current weights until their first update.

    Lightning's WeightAveraging validates, saves and tests its average from the start, which before the first update is
    the initial network. Its hooks are to be called after those of this callback.
    """

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the current weights, which are validated next."""
        _copy_current(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Copy the current weights, which are saved next."""
        _copy_current(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the current weights, which are those that training ends with, and warn of that."""
        for name in _copy_current(trainer, pl_module):
            logger.warning("training ended before %s had averaged the weights; they are those of the last step", name)


def unreached_averages(callbacks: Mapping[str, pl.Callback], steps: float) -> Iterator[str]:
    """Describe averages whose first update lies beyond the run, or whose second one does.

    The first update copies the weights, which after the first step are hardly trained.

    Args:
        callbacks: Callbacks of the trainer by their dotted keys.
        steps: Number of optimizer steps of the run; infinite where it is not known.
    """
    for key, callback in callbacks.items():
        if not isinstance(callback, EMAWeightAveraging):
            continue
        if callback.update_starting_at_epoch is not None or steps in (1, math.inf):
            continue
        start, every = callback.update_starting_at_step or 0, callback.update_every_n_steps
        last = int(steps) - 1
        last_update = last // every * every if every > 0 else 0
        if last_update == 0 or last_update < start:
            yield (
                f"Expected {type(callback).__name__} to average the weights within the {int(steps)} steps of the "
                f"training but `{key}.update_starting_at_step` is {start} and `{key}.update_every_n_steps` is {every}. "
                "Lower them, or leave the callback out."
            )


def _copy_current(trainer: pl.Trainer, pl_module: pl.LightningModule) -> list[str]:
    """Copy the current weights to the averages without an update, and return the names of their classes."""
    names = []
    for callback in callbacks_of(trainer, WeightAveraging):
        average = callback._average_model  # Lightning offers no other access to it
        if average is not None and _is_pending(average):
            for copy, current in zip(_tensors(average.module), _tensors(pl_module), strict=True):
                copy.copy_(current)
            names.append(type(callback).__name__)
    return names


def _is_pending(average: AveragedModel) -> bool:
    return int(average.n_averaged) == 0


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return (tensor.detach() for tensor in itertools.chain(module.parameters(), module.buffers()))
