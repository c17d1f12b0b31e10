"""Settings of a training that contradict each other, beside those of the data and of the monitored metrics."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_lightning.app.monitor_check import is_plateau
from cxr_lightning.app.number_rules import (
    MAX_EPOCHS_RANGE,
    PLATEAU_FACTOR_RANGE,
    TRAIN_RANGES,
    is_number,
    numbers_out_of_range,
)
from cxr_lightning.app.written_arguments import written_arguments
from cxr_lightning.models.setting_rules import backbone_problem, clipping_problem, length_problem
from cxr_lightning.utils.file_names import WEIGHT_SUFFIXES
from cxr_lightning.utils.paths import file_problem, refuse_url
from cxr_lightning.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from cxr_lightning.app.train_settings import TrainSettings

_IMAGENET = "imagenet"
_DATA_OF_MODEL = ("image_size", "interpolation")
"""Settings of the model that are the data's."""


def training_contradictions(settings: "TrainSettings") -> Iterator[str]:
    """Describe numbers out of their range, and settings that contradict each other or leave nothing to do.

    Args:
        settings: The settings, whose nodes may have values of a wrong type.
    """
    yield from numbers_out_of_range(dict(settings), TRAIN_RANGES)
    if is_plateau(settings.scheduler):
        yield from numbers_out_of_range(settings.scheduler, {"factor": PLATEAU_FACTOR_RANGE}, "scheduler.")
    yield from _batch_limits(settings)
    yield from _validation_interval(settings.trainer)
    if settings.train:
        yield from _length(settings)
    yield from _model_contradictions(settings.model, settings.data)
    yield from _clipping(settings)
    if isinstance(weights := settings.model.get("weights"), str) and weights != _IMAGENET:
        yield from _weights_file(weights)


def _batch_limits(settings: "TrainSettings") -> Iterator[str]:
    """Limits that are neither a number of batches nor a fraction, or leave nothing to train or test with."""
    trainer = settings.trainer
    needed = {"limit_train_batches": "train" if settings.train else "", "limit_test_batches": "test"}
    if not settings.test:
        needed.pop("limit_test_batches")
    for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"):
        limit = trainer.get(name)
        if not is_number(limit):
            continue
        if not (limit >= 0 if isinstance(limit, int) else 0 <= limit <= 1):  # also NaN
            yield (
                f"Expected a whole number of batches, or a fraction of them in (0, 1], as `trainer.{name}` but got "
                f"{limit}. Correct the value."
            )
        elif limit == 0 and needed.get(name) and not trainer.get("fast_dev_run"):
            yield (
                f"Expected batches to {needed[name]} with but `trainer.{name}` is {limit}. Raise it, or set "
                f"'{needed[name]}=false'."
            )


def _validation_interval(trainer: Mapping[str, Any]) -> Iterator[str]:
    """An interval that is neither a number of batches nor a fraction of an epoch; times are left to Lightning."""
    interval = trainer.get("val_check_interval")
    if not is_number(interval):
        return
    if not (interval >= 1 if isinstance(interval, int) else 0 < interval <= 1):  # also NaN
        yield (
            "Expected a whole number of batches from 1, or a fraction of an epoch in (0, 1], as "
            f"`trainer.val_check_interval` but got {interval}. Correct the value."
        )
    elif isinstance(interval, float) and trainer.get("check_val_every_n_epoch", 1) is None:
        yield (
            "Expected a whole number of batches as `trainer.val_check_interval` with "
            f"'trainer.check_val_every_n_epoch=null', which counts them over epochs, but got {interval}. "
            "Give a whole number, or leave that out."
        )


def _length(settings: "TrainSettings") -> Iterator[str]:
    epochs, steps = settings.trainer.get("max_epochs"), settings.trainer.get("max_steps", -1)
    if is_number(epochs) and epochs not in MAX_EPOCHS_RANGE:
        yield (
            f"Expected `trainer.max_epochs` to be {MAX_EPOCHS_RANGE} but got {epochs}. Raise it, or set 'train=false'."
        )
    arguments = written_arguments(str(settings.scheduler.get("_target_")))
    names = (arguments.names if arguments is not None else None) or frozenset()
    is_endless = epochs == -1 and steps == -1
    if problem := length_problem(names, math.inf if is_endless else 1):
        yield problem


def _model_contradictions(model: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(model.get("backbone"), str) and (problem := backbone_problem(model["backbone"])):
        yield problem
    for name in _DATA_OF_MODEL:
        if name in model and model[name] != data.get(name):
            yield (
                f"Expected `model.{name}` to be that of the data, {data.get(name)}, but got {model[name]}. Leave it "
                f"out, and set 'data.{name}'."
            )
    statistics = [model.get("mean"), model.get("std")]
    if model.get("preprocessing") != "featurewise" and statistics != [None, None]:
        yield (
            "Expected 'model.preprocessing=featurewise' beside `model.mean` and `model.std` but got "
            f"{model.get('preprocessing')}, which does not use them. Set it, or leave them out."
        )
    elif statistics.count(None) == 1:
        yield f"Expected both `model.mean` and `model.std`, or neither, but got {statistics}. Set both."


def _clipping(settings: "TrainSettings") -> Iterator[str]:
    trainer, is_fused = settings.trainer, settings.optimizer.get("fused") is True
    scales_gradients = trainer.get("precision") == "16-mixed"
    problem = clipping_problem(is_fused=is_fused, scales_gradients=scales_gradients)
    if trainer.get("gradient_clip_val") and problem:
        yield problem


def _weights_file(path: str) -> Iterator[str]:
    try:
        refuse_url(path, "a file as `model.weights`")
    except ValueError as error:
        yield str(error)
        return
    if problem := file_problem(path):
        hint = did_you_mean(path, [_IMAGENET]) or "Correct the path."
        yield f"Expected null, {_IMAGENET} or a weights file as `model.weights` but got '{path}': {problem}. {hint}"
    elif Path(path).suffix not in WEIGHT_SUFFIXES:
        yield (
            f"Expected a weights file ({', '.join(WEIGHT_SUFFIXES)}) as `model.weights` but got '{path}'. Convert "
            "it, or rename it as what it is."
        )
