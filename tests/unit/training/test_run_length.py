"""Steps of a training, counted batch by batch as Lightning does."""

from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import GradientAccumulationScheduler

from cxr_lightning.training.run_length import RunLength


def trainer(**settings: Any) -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **settings)


def counted_steps(batches: int, total: int, schedule: dict[int, int]) -> list[int]:
    """Number of steps after each batch: one where the epoch's batches fill a group, or end."""
    steps, counted = 0, [0]
    for batch in range(total):
        epoch, within = divmod(batch, batches)
        size = schedule[max(key for key in schedule if key <= epoch)]
        steps += (within + 1) % size == 0 or within + 1 == batches
        counted.append(steps)
    return counted


@pytest.mark.parametrize("schedule", [{0: 1}, {0: 3}, {0: 4, 2: 1}, {0: 1, 1: 5, 3: 2}])
def test_steps_are_those_of_each_batch(schedule: dict[int, int]) -> None:
    callbacks: list[pl.Callback] = [GradientAccumulationScheduler(dict(schedule))]
    length = RunLength(trainer(max_epochs=6, callbacks=callbacks), 7)
    counted = counted_steps(7, 42, schedule)
    assert [length.steps_after(batches) for batches in range(43)] == counted
    assert length.steps == counted[-1]
    for steps in range(1, counted[-1] + 1):
        assert length.batches_until(steps) == counted.index(steps)


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({}, 7),
        ({"check_val_every_n_epoch": 3}, 21),
        ({"val_check_interval": 0.5}, 3),
        ({"val_check_interval": 0.01}, 1),
        ({"val_check_interval": 5, "check_val_every_n_epoch": 2}, 12),
        ({"val_check_interval": 50, "check_val_every_n_epoch": None}, 50),
        ({"val_check_interval": "00:00:10:00"}, None),
    ],
)
def test_the_first_validation_follows_this_batch(settings: dict[str, Any], first: int | None) -> None:
    assert RunLength(trainer(max_epochs=6, **settings), 7).first_validation == first
