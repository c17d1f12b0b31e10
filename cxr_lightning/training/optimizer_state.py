"""Check the saved states of optimizers and learning-rate schedules, which torch restores without looking."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, optim
from torch.optim import Optimizer

from cxr_lightning.training.state_structure import kind_of, shown, structure_problem

_ELEMENTWISE = (
    *(optim.Adadelta, optim.Adagrad, optim.Adam, optim.Adamax, optim.AdamW, optim.ASGD, optim.NAdam, optim.RAdam),
    *(optim.RMSprop, optim.Rprop, optim.SGD),
)
"""Optimizers whose tensors all have their parameter's shape."""
_FACTORED = (optim.Adafactor, *filter(None, [getattr(optim, "Muon", None)]))
"""Optimizers whose tensors are averages over some dimensions of their parameters."""
_OF_MATRICES, _OF_VECTORS = {"step", "row_var", "col_var"}, {"step", "variance"}
"""Values that Adafactor keeps for a parameter, by its number of dimensions."""
_MOMENTUM = "momentum_buffer"
"""Name of SGD's average, which is None without momentum."""
_OF_MACHINE = ("foreach", "fused")
"""How an optimizer computes, which is true, false or None for what the machine can do."""
_COUNTS = ("last_epoch", "_step_count", "total_steps", "T_max")
"""Whole numbers in the states of schedules."""
_OF_SCHEDULES = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
"""Numbers that learning-rate schedules of torch add to an optimizer's groups."""
_SCHEDULES = "_schedulers"
"""Key of the schedules that a schedule of torch consists of."""


def optimizer_problem(saved: Mapping[str, Any], optimizer: Optimizer, place: str) -> str | None:
    """Describe what an optimizer could not go on with, as a clause; None if it can.

    Args:
        saved: The saved state, of the structure of its own.
        optimizer: The optimizer.
        place: Dotted place of the state.
    """
    fresh = optimizer.state_dict()["param_groups"]
    groups = saved.get("param_groups")
    if groups is None:
        return f"it has no `{place}.param_groups`"
    pairs = enumerate(zip(groups, fresh, strict=True))
    problems = (_group_problem(*pair, optimizer, f"{place}.param_groups.{number}") for number, pair in pairs)
    problem = next(filter(None, problems), None)
    return problem or _averages_problem(saved.get("state"), optimizer, f"{place}.state")


def _group_problem(saved: Mapping[str, Any], own: Mapping[str, Any], optimizer: Optimizer, place: str) -> str | None:
    """Describe parameters of a group that are not its own, and settings that are missing or of another kind."""
    if saved.get("params") != own["params"]:
        return f"its `{place}.params` are not those of the model"
    required = {**own, **optimizer.defaults}
    if missing := [key for key, value in required.items() if key not in saved and not _may_lack(optimizer, value)]:
        return f"its `{place}` has no {missing[0]!r}"
    added = {key: own.get(key) for key in saved if key not in (*optimizer.defaults, "params")}
    added |= {key: 0.0 for key in _OF_SCHEDULES if key in added}
    if problem := structure_problem(saved, {**optimizer.defaults, **added}, place):
        return problem
    settings = {**optimizer.defaults, "momentum": own.get("momentum")}  # schedules may begin one
    switched = [key for key, value in settings.items() if _is_switched(saved.get(key, value), value, key)]
    return f"its `{place}.{switched[0]}` is {shown(saved[switched[0]])}, not as it is set" if switched else None


def _may_lack(optimizer: Optimizer, value: object) -> bool:
    """Whether the state of another version of torch may lack a setting of a value: later ones are off by default."""
    return type(optimizer) in _ELEMENTWISE and (value is None or value is False)


def _is_switched(saved: Any, own: Any, key: str) -> bool:  # noqa: ANN401  # of a file, and of any optimizer
    """Whether a setting that is true or false, or a momentum that is 0 or not, differs; those of the machine may."""
    if key == "momentum" and own is not None:
        return (float(saved) == 0) is not (float(own) == 0)
    if key in _OF_MACHINE:
        return not (saved is None or isinstance(saved, bool))
    return isinstance(own, bool) and saved is not own


def _averages_problem(saved: object, optimizer: Optimizer, place: str) -> str | None:
    """Describe what is no number or, in torch's elementwise optimizers, no average of the parameter's shape."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(saved, Mapping):
        return f"it has no `{place}`"
    if not all(isinstance(values, Mapping) for values in saved.values()) or not set(saved) <= set(
        range(len(parameters))
    ):
        return f"its `{place}` is not that of {len(parameters)} parameters"
    begun = optimizer.state_dict()["state"]  # of optimizers that begin with averages
    if any(index not in saved or not values.keys() <= saved[index].keys() for index, values in begun.items()):
        return f"its `{place}` lacks values that the optimizer begins with"
    if isinstance(optimizer, optim.Adafactor):
        needed = {index: _OF_MATRICES if parameters[index].ndim > 1 else _OF_VECTORS for index in saved}
        if lacking := [index for index, values in saved.items() if not needed[index] <= values.keys()]:
            return f"its `{place}.{lacking[0]}` has not all of {', '.join(sorted(needed[lacking[0]]))}"
    pairs = [(index, name, value) for index, values in saved.items() for name, value in values.items()]
    if type(optimizer) not in _ELEMENTWISE:
        wrong = [one for one in pairs if isinstance(optimizer, _FACTORED) and not _fits(*one[1:], parameters[one[0]])]
        return f"its `{place}.{wrong[0][0]}.{wrong[0][1]}` does not fit the parameter" if wrong else None
    averages = {name for _, name, value in pairs if isinstance(value, Tensor) and value.ndim > 0}
    for index, name, value in pairs:
        if not (_is_average(value, parameters[index]) if name in averages else _is_count_or_number(value, name)):
            return f"its `{place}.{index}.{name}` is {shown(value)} that does not fit the parameter"
    if any(set(values) != set(next(iter(saved.values()))) for values in saved.values()):
        return f"its `{place}` has other values for some parameters"
    return None


def _fits(name: str, value: object, parameter: Tensor) -> bool:
    """Whether a value is a number of steps, or averages over some dimensions of a parameter."""
    if name == "step":
        return _is_count_or_number(value, name)
    sizes = zip(value.shape, parameter.shape, strict=False) if isinstance(value, Tensor) else ()
    is_tensor = isinstance(value, Tensor) and value.ndim == parameter.ndim
    return is_tensor and all(size in (1, whole) for size, whole in sizes)


def _is_average(value: object, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _is_count_or_number(value: Any, name: str) -> bool:  # noqa: ANN401  # whatever a file holds
    """Whether a value is a number; of the steps one that is not negative, of SGD's momentum also none."""
    if value is None:
        return name == _MOMENTUM
    return kind_of(value) == "a number" and not (name == "step" and not float(value) >= 0)


def schedule_problem(saved: Mapping[str, Any], schedule: Any, place: str) -> str | None:  # noqa: ANN401  # torch's
    """Describe a value that would replace a method or the optimizer, or is of another kind; None if there is none.

    A schedule takes all that its saved state holds.

    Args:
        saved: The saved state, of the structure of its own.
        schedule: A learning-rate schedule of torch.
        place: Dotted place of the state.
    """
    own = schedule.state_dict()
    if wrong := [key for key in saved if key not in own and hasattr(schedule, str(key))]:
        return f"its `{place}` holds {wrong[0]!r}"
    for key in own.keys() & saved.keys() - {_SCHEDULES}:
        problem = structure_problem(saved[key], own[key], f"{place}.{key}", whole=True)
        problem = problem or _setting_problem(saved[key], own[key], f"{place}.{key}")
        if problem is not None:
            return problem
    inner = enumerate(zip(saved.get(_SCHEDULES, ()), getattr(schedule, _SCHEDULES, ()), strict=False))
    problems = (schedule_problem(state, one, f"{place}.{_SCHEDULES}.{number}") for number, (state, one) in inner)
    return next(filter(None, problems), None)


def _setting_problem(saved: Any, own: Any, place: str) -> str | None:  # noqa: ANN401  # values of any schedule
    """Describe a text, or a value that is true or false, that is not the schedule's own, or a count that is none."""
    if isinstance(own, Mapping):
        pairs = [(saved[key], own[key], f"{place}.{key}") for key in own]
    elif isinstance(own, list | tuple) and own:
        pairs = [(saved[index], own[index], f"{place}.{index}") for index in range(len(own))]
    else:
        is_setting = isinstance(own, str) or (isinstance(own, bool) and not place.rpartition(".")[2].startswith("_"))
        is_count = isinstance(own, int) and place.rpartition(".")[2] in _COUNTS
        if isinstance(own, int | float) and math.isfinite(own) and math.isnan(saved):
            return f"its `{place}` is {shown(saved)}, not such a number"
        if is_setting and saved != own:
            return f"its `{place}` is {shown(saved)}, not {own!r}"
        is_whole = isinstance(saved, int | float) and float(saved).is_integer()  # 10.0 is 10 as a setting
        if is_count and not (is_whole and saved >= min(own, 1)):
            return f"its `{place}` is {shown(saved)}, not such a number"
        return None
    return next(filter(None, (_setting_problem(*pair) for pair in pairs)), None)
