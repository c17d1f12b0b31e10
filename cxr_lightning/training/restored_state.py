"""Check the state of a training in a checkpoint, which other people may have written, before it is restored.

Lightning and torch restore it without looking: a number in the place of a list ends the run later, and an attribute of
a schedule may take a method's place. What is restored has the structure of what this run begins with.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning, ModelCheckpoint
from torch.optim import Optimizer

from cxr_lightning.training.optimizer_state import check_optimizer, check_schedule
from cxr_lightning.training.state_structure import (
    MAX_COUNT,
    RestoredStateError,
    StateError,
    check_structure,
    kind_of,
    leaf_pairs,
    shown,
)
from cxr_lightning.utils.plain_text import one_line_reason
from cxr_lightning.utils.trainer_callbacks import callbacks_of

_STATES = ("loops", "callbacks", "optimizer_states", "lr_schedulers")
"""Entries of a checkpoint without which no training can go on."""
_COUNTERS = ("epoch", "global_step")
"""Entries that count what was trained."""
_SCORES = ("best_model_score", "current_score", "kth_value")
"""Entries of the state of Lightning's ModelCheckpoint that are scores, or None before there is one."""
_GROUPS = "internal_optimizer_metadata"
"""Key of the groups of parameters in the state of Lightning's callbacks for finetuning."""
_RESTORING_MODULE, _RESTORING_FUNCTIONS = "checkpoint_connector", ("restore", "_restore", "resume")
"""Last part of the name of the module with which Lightning restores a training, and beginnings of its functions."""
_OWN_PACKAGES = ("pytorch_lightning.", "cxr_lightning.")
"""Packages whose callbacks always save the same keys."""


def check_progress(path: str, content: Mapping[str, Any], trainer: pl.Trainer, parameters: Collection[str]) -> None:
    """Check the progress of the loops and the states of the callbacks in a checkpoint.

    Args:
        path: The checkpoint, for the message.
        content: Its content.
        trainer: The trainer, with its callbacks, before anything is restored.
        parameters: Names of the model's parameters.

    Raises:
        RestoredStateError: If a state has another structure than the trainer's own.
    """
    with _refusals_of(path):
        missing = [key for key in _STATES if content.get(key) is None]
        if missing:
            raise StateError(f"it has no {missing[0]}")
        fresh = trainer.fit_loop.state_dict()
        saved = content["loops"].get("fit_loop")
        check_structure(saved, fresh, "loops.fit_loop", require_all_keys=True)
        _check_counts({key: content.get(key) for key in _COUNTERS}, dict.fromkeys(_COUNTERS, 0), "")
        _check_counts(saved, fresh, "loops.fit_loop.")
        states = content["callbacks"]
        for callback in callbacks_of(trainer, pl.Callback):
            if callback.state_key in states:
                _check_callback(states[callback.state_key], callback, parameters)


def check_optimization(path: str, content: Mapping[str, Any], trainer: pl.Trainer) -> None:
    """Check the states of the optimizers and the learning-rate schedules in a checkpoint.

    Args:
        path: The checkpoint, for the message.
        content: Its content.
        trainer: The trainer, with its optimizers and schedules, before they are restored.

    Raises:
        RestoredStateError: If a state has another structure than the trainer's own.
    """
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    owners_by_key: dict[str, Sequence[Any]] = {"optimizer_states": trainer.optimizers, "lr_schedulers": schedules}
    with _refusals_of(path):
        for key, owners in owners_by_key.items():
            states = content.get(key)
            if not isinstance(states, list) or len(states) != len(owners):
                number = len(states) if isinstance(states, list) else "no list of"
                raise StateError(f"it has {number} {key}, not {len(owners)}")
            for number, (saved, owner) in enumerate(zip(states, owners, strict=True)):
                check_structure(saved, owner.state_dict(), f"{key}.{number}")
                check = check_optimizer if isinstance(owner, Optimizer) else check_schedule
                check(saved, owner, f"{key}.{number}")


def is_from_restoring(error: BaseException) -> bool:
    """Whether an exception was raised while Lightning restored a training.

    Args:
        error: The exception.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return any(
        str(frame.f_globals.get("__name__", "")).endswith(_RESTORING_MODULE)
        and frame.f_code.co_name.startswith(_RESTORING_FUNCTIONS)
        for frame in frames
    )


def explain_restoring(error: Exception, path: str) -> RestoredStateError:
    """The error about a training that cannot be restored, for one that :func:`is_from_restoring` is true of.

    Args:
        error: The exception.
        path: The checkpoint.
    """
    text = one_line_reason(error)
    return _refusal(path, f"it cannot be restored ({type(error).__name__}{': ' if text else ''}{text})")


@contextmanager
def _refusals_of(path: str) -> Iterator[None]:
    """Within the block, a state that is refused is an error about the checkpoint."""
    try:
        yield
    except StateError as error:
        raise _refusal(path, str(error)) from error


def _refusal(path: str, problem: str) -> RestoredStateError:
    return RestoredStateError(
        f"Expected the state of a training in '{path}' but {problem}. Give the settings of its first start, copy it "
        "again, or start a new training from its weights with `model.weights`."
    )


def _check_callback(saved: Any, callback: pl.Callback, parameters: Collection[str]) -> None:  # noqa: ANN401
    """Refuse a callback's saved state of another structure than its own."""
    place = f"callbacks.{type(callback).__name__}"
    fresh: dict[str, Any] = callback.state_dict()
    if isinstance(callback, ModelCheckpoint):
        fresh |= dict.fromkeys(_SCORES)  # None before there is one, and afterwards if it is not limited
    is_own = type(callback).__module__.startswith(_OWN_PACKAGES)
    check_structure(saved, fresh, place, require_all_keys=is_own)
    if isinstance(callback, BaseFinetuning):
        _check_groups(saved.get(_GROUPS), parameters, f"{place}.{_GROUPS}")
    elif isinstance(callback, ModelCheckpoint):
        scores = [(key, saved.get(key)) for key in _SCORES if saved.get(key) is not None]
        scores += [("best_k_models", score) for score in (saved.get("best_k_models") or {}).values()]
        for key, score in scores:
            if kind_of(score) != "a number":
                raise StateError(f"its `{place}.{key}` holds {shown(score)}, not a number")


def _check_groups(saved: object, parameters: Collection[str], place: str) -> None:
    """Refuse groups of an optimizer's parameters that Lightning's finetuning could not make again."""
    if not isinstance(saved, Mapping):
        raise StateError(f"it has no `{place}`")
    for number, groups in saved.items():
        where = f"{place}.{number}"
        if not isinstance(groups, list) or not groups or not all(isinstance(group, Mapping) for group in groups):
            raise StateError(f"its `{where}` is {shown(groups)}, not a list of mappings")
        names = [group.get("params") for group in groups]
        if not all(isinstance(one, list) for one in names):
            raise StateError(f"its `{where}` has no list of parameters")
        listed = [name for one in names for name in one]
        if len({str(name) for name in listed}) < len(listed) or not all(name in parameters for name in listed):
            raise StateError(f"its `{where}` names parameters twice, or some that the model has not")


def _check_counts(saved: Mapping[str, Any], fresh: Mapping[str, Any], prefix: str) -> None:
    """Refuse what is no whole number where a fresh state has one: epochs, batches and steps are counted."""
    for key in fresh:
        for value, own, place in leaf_pairs(saved[key], fresh[key], f"{prefix}{key}"):
            is_count = type(value) is int and 0 <= value <= MAX_COUNT
            if type(own) is int and not is_count:
                raise StateError(f"its `{place}` is {shown(value)}, not a number of epochs, batches or steps")
