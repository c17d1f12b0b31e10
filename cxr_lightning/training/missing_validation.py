"""Settings that leave a training without the validation that its callbacks or schedule wait for."""

from collections.abc import Iterator, Mapping, Sequence

import pytorch_lightning as pl

from cxr_lightning.training.run_length import RunLength

_VALIDATED = "val/"
"""Prefix of the names of metrics that a validation logs."""


def missing_validation(length: RunLength, monitored: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Describe an interval that Lightning refuses, and a training that ends before its first validation.

    Args:
        length: The length of the training.
        monitored: Metrics that parts of the run monitor, with the dotted keys of these.
    """
    trainer = length.trainer
    first = length.first_validation
    if first is None or trainer.limit_val_batches == 0:
        return
    if problem := _interval_problem(trainer, length):
        yield problem
        return
    reason = _reason(length, first)
    for name, keys in monitored.items():
        if reason is not None and name.startswith(_VALIDATED):
            monitors = f"{' and '.join(map(repr, keys))} {'monitors' if len(keys) == 1 else 'monitor'}"
            yield f"Expected a validation for {name}, which {monitors}, but {reason}"


def _interval_problem(trainer: pl.Trainer, length: RunLength) -> str | None:
    """Describe an interval in which an epoch has no validation; None if it has one, or batches count over epochs."""
    interval, batches = trainer.val_check_interval, length.batches
    if trainer.check_val_every_n_epoch is None or not isinstance(interval, int) or interval <= batches:
        return None
    over_epochs = (
        " Set 'trainer.check_val_every_n_epoch=null' to count batches over epochs."
        if interval <= length.total_batches
        else ""
    )
    return (
        f"Expected a validation within an epoch of {batches} batches but 'trainer.val_check_interval' is {interval}. "
        f"Lower it to at most {batches}, or leave it out to validate at the end of an epoch.{over_epochs}"
    )


def _reason(length: RunLength, first: int) -> str | None:
    """Why the training ends before its first validation, and what to do; None if it does not."""
    trainer, max_steps = length.trainer, length.trainer.max_steps
    if first > length.total_batches:
        total = int(length.total_batches)
        return (
            f"'trainer.val_check_interval' is {trainer.val_check_interval} and the training has {total} batches in "
            f"all. Lower it to at most {total}."
        )
    needed = length.steps_after(first - 1) + 1
    if not 0 <= max_steps < needed:
        return None
    interval = f"+trainer.val_check_interval={length.batches_until(max_steps)}"
    if trainer.check_val_every_n_epoch not in (1, None):
        interval += " trainer.check_val_every_n_epoch=null"
    return (
        f"'trainer.max_steps={max_steps}' ends the training before the first, which is after {first} batches. Raise "
        f"'trainer.max_steps' to {needed} or more, or set '{interval}'."
    )
