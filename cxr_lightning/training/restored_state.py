"""Check the state of a training in a checkpoint, which other people may have written, before it is restored.

Lightning and torch restore it without looking: a number in the place of a list ends the run later, and an attribute of
a schedule may take a method's place. What is restored has the structure of what this run begins with.
"""

from collections.abc import Collection, Mapping, Sequence
from traceback import walk_tb
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning, ModelCheckpoint
from torch.optim import Optimizer

from cxr_lightning.training.optimizer_state import optimizer_problem, schedule_problem
from cxr_lightning.training.state_structure import kind_of, shown, structure_problem
from cxr_lightning.utils.plain_text import one_line_reason
from cxr_lightning.utils.trainer_callbacks import callbacks_of

_STATES = ("loops", "callbacks", "optimizer_states", "lr_schedulers")
"""Entries of a checkpoint without which no training can go on."""
_TOTALS = ("epoch", "global_step")
"""Entries that count what was trained."""
_MAX_STEPS = 2**53
_GROUPS = "internal_optimizer_metadata"
"""Key of the groups of parameters in the state of Lightning's callbacks for finetuning."""
_RESTORING_MODULE = "checkpoint_connector"
"""Last part of the name of the module with which Lightning restores a training."""


def check_progress(path: str, content: Mapping[str, Any], trainer: pl.Trainer, parameters: Collection[str]) -> None:
    """Check the progress of the loops and the states of the callbacks in a checkpoint.

    Args:
        path: The checkpoint, for the message.
        content: Its content.
        trainer: The trainer, with its callbacks, before anything is restored.
        parameters: Names of the model's parameters.

    Raises:
        ValueError: If a state has another structure than the trainer's own.
    """
    missing = [key for key in _STATES if content.get(key) is None]
    if missing:
        raise _refusal(path, f"it has no {missing[0]}")
    fresh_loop = trainer.fit_loop.state_dict()
    saved_loop = content["loops"].get("fit_loop")
    problem = structure_problem(saved_loop, fresh_loop, "loops.fit_loop", whole=True)
    for key in _TOTALS:
        problem = problem or _counts_problem(content.get(key), 0, key)
    problem = problem or _counts_problem(saved_loop, fresh_loop, "loops.fit_loop")
    states = content["callbacks"]
    for callback in callbacks_of(trainer, pl.Callback):
        if problem is None and callback.state_key in states:
            name, state = f"callbacks.{type(callback).__name__}", states[callback.state_key]
            problem = structure_problem(state, callback.state_dict(), name)
            if problem is None and isinstance(callback, BaseFinetuning):
                problem = _groups_problem(state.get(_GROUPS), parameters, f"{name}.{_GROUPS}")
            elif problem is None and isinstance(callback, ModelCheckpoint):
                problem = _scores_problem(state.get("best_k_models"), f"{name}.best_k_models")
    if problem is not None:
        raise _refusal(path, problem)


def check_optimization(path: str, content: Mapping[str, Any], trainer: pl.Trainer) -> None:
    """Check the states of the optimizers and the learning-rate schedules in a checkpoint.

    Args:
        path: The checkpoint, for the message.
        content: Its content.
        trainer: The trainer, with its optimizers and schedules, before they are restored.

    Raises:
        ValueError: If a state has another structure than the trainer's own.
    """
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    owners_by_key: dict[str, Sequence[Any]] = {"optimizer_states": trainer.optimizers, "lr_schedulers": schedules}
    for key, owners in owners_by_key.items():
        states = content.get(key)
        if not isinstance(states, list) or len(states) != len(owners):
            number = len(states) if isinstance(states, list) else "no list of"
            raise _refusal(path, f"it has {number} {key}, not {len(owners)}")
        for number, (saved, owner) in enumerate(zip(states, owners, strict=True)):
            place = f"{key}.{number}"
            problem = structure_problem(saved, owner.state_dict(), place)
            if problem is None and isinstance(owner, Optimizer):
                problem = optimizer_problem(saved, owner, place)
            elif problem is None:
                problem = schedule_problem(saved, owner, place)
            if problem is not None:
                raise _refusal(path, problem)


def is_from_restoring(error: BaseException) -> bool:
    """Whether an exception was raised while Lightning restored a training.

    Args:
        error: The exception.
    """
    modules = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    return any(str(module).endswith(_RESTORING_MODULE) for module in modules)


def explain_restoring(error: Exception, path: str) -> ValueError:
    """The error about a training that cannot be restored, for one that :func:`is_from_restoring` is true of.

    Args:
        error: The exception.
        path: The checkpoint.
    """
    text = one_line_reason(error)
    return _refusal(path, f"it cannot be restored ({type(error).__name__}{': ' if text else ''}{text})")


def _refusal(path: str, problem: str) -> ValueError:
    return ValueError(
        f"Expected the state of a training in '{path}' but {problem}. Copy it again, or start a new training from its "
        "weights with `model.weights`."
    )


def _groups_problem(saved: object, parameters: Collection[str], place: str) -> str | None:
    """Describe groups of an optimizer's parameters that Lightning's finetuning could not make again."""
    if not isinstance(saved, Mapping):
        return f"it has no `{place}`"
    for number, groups in saved.items():
        where = f"{place}.{number}"
        if not isinstance(groups, list) or not groups or not all(isinstance(group, Mapping) for group in groups):
            return f"its `{where}` is {shown(groups)}, not a list of mappings"
        names = [group.get("params") for group in groups]
        if not all(isinstance(one, list) for one in names):
            return f"its `{where}` has no list of parameters"
        listed = [name for one in names for name in one]
        if len({str(name) for name in listed}) < len(listed) or not all(name in parameters for name in listed):
            return f"its `{where}` names parameters twice, or some that the model has not"
    return None


def _counts_problem(saved: Any, fresh: Any, place: str) -> str | None:  # noqa: ANN401  # of the same structure
    """Describe what is no whole number where a fresh state has one: epochs, batches and steps are counted."""
    if isinstance(fresh, Mapping):
        problems = (_counts_problem(saved[key], fresh[key], f"{place}.{key}") for key in fresh)
        return next(filter(None, problems), None)
    is_count = isinstance(fresh, int) and not isinstance(fresh, bool)
    if is_count and not (isinstance(saved, int) and not isinstance(saved, bool) and 0 <= saved <= _MAX_STEPS):
        return f"its `{place}` is {shown(saved)}, not a number of epochs, batches or steps"
    return None


def _scores_problem(saved: object, place: str) -> str | None:
    """Describe what is no score among those of the best checkpoints."""
    scores = saved if isinstance(saved, Mapping) else {}
    wrong = [value for value in scores.values() if kind_of(value) != "a number"]
    return f"its `{place}` holds {shown(wrong[0])}, not a number" if wrong else None
