"""Check the state of a training in a checkpoint, which other people may have written, before it is restored.

Lightning and torch restore it without looking: a number in the place of a list ends the run later, and an attribute of
a schedule may take a method's place. What is restored has the structure of what this run begins with.
"""

from collections.abc import Mapping, Sequence
from traceback import walk_tb
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, optim
from torch.optim import Optimizer

from cxr_lightning.utils.plain_text import one_line_reason, shorten
from cxr_lightning.utils.trainer_callbacks import callbacks_of

_STATES = ("loops", "callbacks", "optimizer_states", "lr_schedulers")
"""Entries of a checkpoint without which no training can go on."""
_ELEMENTWISE = (
    *(optim.Adadelta, optim.Adagrad, optim.Adam, optim.Adamax, optim.AdamW, optim.ASGD, optim.NAdam, optim.RAdam),
    *(optim.RMSprop, optim.Rprop, optim.SGD),
)
"""Optimizers whose tensors all have their parameter's shape."""
_MAX_COUNT = 2**53
_RESTORING_MODULE = "checkpoint_connector"
"""Last part of the name of the module with which Lightning restores a training."""


def check_progress(path: str, content: Mapping[str, Any], trainer: pl.Trainer) -> None:
    """Check the progress of the loops and the states of the callbacks in a checkpoint.

    Args:
        path: The checkpoint, for the message.
        content: Its content.
        trainer: The trainer, with its callbacks, before anything is restored.

    Raises:
        ValueError: If a state has another structure than the trainer's own.
    """
    missing = [key for key in _STATES if content.get(key) is None]
    if missing:
        raise _refusal(path, f"it has no {missing[0]}")
    fresh_loop = trainer.fit_loop.state_dict()
    problem = structure_problem(content["loops"].get("fit_loop"), fresh_loop, "loops.fit_loop", whole=True)
    states = content["callbacks"]
    for callback in callbacks_of(trainer, pl.Callback):
        if problem is None and callback.state_key in states:
            name = f"callbacks.{type(callback).__name__}"
            problem = structure_problem(states[callback.state_key], callback.state_dict(), name)
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
        if len(content[key]) != len(owners):
            raise _refusal(path, f"it has {len(content[key])} {key}, not {len(owners)}")
        for number, (saved, owner) in enumerate(zip(content[key], owners, strict=True)):
            place = f"{key}.{number}"
            problem = structure_problem(saved, owner.state_dict(), place)
            if problem is None and isinstance(owner, Optimizer):
                problem = _averages_problem(saved.get("state"), owner, f"{place}.state")
            elif problem is None:
                problem = _replaced_method(saved, owner, place)
            if problem is not None:
                raise _refusal(path, problem)


def structure_problem(saved: object, fresh: object, place: str, *, whole: bool = False) -> str | None:
    """Describe where a saved state has another structure than a fresh one, as a clause; None if it has the same.

    Keys that only the saved state has are left to those who restore it.

    Args:
        saved: The saved state.
        fresh: The state of the same kind before it was ever changed; None and empty ones may become anything.
        place: Dotted place of the state.
        whole: Whether it must have all keys of the fresh state; those of other versions may lack some.

    Example:
        >>> structure_problem({"best": 0.5, "seen": [1, 2]}, {"best": float("inf"), "seen": []}, "x")
        >>> structure_problem({"best": "0.5"}, {"best": float("inf")}, "x")
        "its `x.best` is '0.5', not a number"
    """
    if fresh is None or (saved is None and isinstance(fresh, str | Tensor)):
        return None
    expected, found = _kind(fresh), _kind(saved)
    if expected != found:
        return f"its `{place}` is {_shown(saved)}, not {expected}"
    if isinstance(saved, int) and not isinstance(saved, bool) and abs(saved) > _MAX_COUNT:
        return f"its `{place}` is {_shown(saved)}, not a number of this size"
    if isinstance(fresh, Mapping) and isinstance(saved, Mapping):
        if whole and (missing := [key for key in fresh if key not in saved]):
            return f"its `{place}` has no {missing[0]!r}"
        pairs = [(saved[key], fresh[key], f"{place}.{key}") for key in fresh if key in saved]
    elif fresh and isinstance(fresh, Sequence) and isinstance(saved, Sequence) and not isinstance(fresh, str):
        if len(saved) != len(fresh):
            return f"its `{place}` has {len(saved)} values, not {len(fresh)}"
        pairs = [(saved[index], fresh[index], f"{place}.{index}") for index in range(len(fresh))]
    else:
        return None
    return next(filter(None, (structure_problem(*pair, whole=whole) for pair in pairs)), None)


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


def _kind(value: object) -> str:
    """What a value is, in words; a tensor of one value counts as a number."""
    if isinstance(value, Tensor):
        return "a number" if value.ndim == 0 else "a tensor"
    for kind, name in ((bool, "true or false"), (int | float, "a number"), (str, "text"), (Mapping, "a mapping")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, Sequence) else type(value).__name__


def _shown(value: object) -> str:
    return shorten(repr(value)) if isinstance(value, str | int | float | bool | None) else _kind(value)


def _averages_problem(saved: object, optimizer: Optimizer, place: str) -> str | None:
    """Describe what is no number or, in torch's elementwise optimizers, no average of the parameter's shape."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(saved, Mapping):
        return f"it has no `{place}`"
    if not all(isinstance(values, Mapping) for values in saved.values()) or not set(saved) <= set(
        range(len(parameters))
    ):
        return f"its `{place}` is not that of {len(parameters)} parameters"
    if type(optimizer) not in _ELEMENTWISE:
        return None
    pairs = [(index, name, value) for index, values in saved.items() for name, value in values.items()]
    averages = {name for _, name, value in pairs if isinstance(value, Tensor) and value.ndim > 0}
    for index, name, value in pairs:
        is_average = isinstance(value, Tensor) and value.shape == parameters[index].shape
        if not (value is None or (is_average if name in averages else _kind(value) == "a number")):
            return f"its `{place}.{index}.{name}` is {_shown(value)} that does not fit the parameter"
    if any(set(values) != set(next(iter(saved.values()))) for values in saved.values()):
        return f"its `{place}` has other values for some parameters"
    return None


def _replaced_method(saved: Mapping[str, Any], schedule: object, place: str) -> str | None:
    """Describe a value that would take the place of a method: schedules restore whatever a state holds."""
    methods = [key for key in saved if key not in vars(schedule) and hasattr(type(schedule), key)]
    return f"its `{place}` holds {methods[0]!r}" if methods else None
