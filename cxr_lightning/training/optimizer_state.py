"""Check the saved states of optimizers and learning-rate schedules, which torch restores without looking."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from cxr_lightning.training.state_structure import StateError, check_structure, kind_of, leaf_pairs, shown
from cxr_lightning.utils.plain_text import one_line_reason

_ELEMENTWISE = (
    *(optim.Adadelta, optim.Adagrad, optim.Adam, optim.Adamax, optim.AdamW, optim.ASGD, optim.Muon, optim.NAdam),
    *(optim.RAdam, optim.RMSprop, optim.Rprop, optim.SGD),
)
"""Optimizers whose tensors all have their parameter's shape."""
_FACTORED_KEYS, _VECTOR_KEYS = {"step", "row_var", "col_var"}, {"step", "variance"}
"""Values that Adafactor keeps for a parameter of several dimensions, and of one."""
_MOMENTUM = "momentum_buffer"
"""Name of SGD's only value, which is None without momentum, and before the first step with one."""
_IMPLEMENTATION_FLAGS = ("foreach", "fused")
"""How an optimizer computes, which is true, false or None for what the machine can do."""
_OF_MACHINE = (*_IMPLEMENTATION_FLAGS, "capturable", "differentiable")
"""Settings that a step on the CPU does without."""
_COUNTS = ("last_epoch", "_step_count", "total_steps", "T_max")
"""Whole numbers in the states of schedules."""
_DIVISORS = ("step_size", "T_i", "T_mult", "total_size", "step_ratio", "power")
"""Numbers in the states of schedules that are divided by."""
_SCHEDULED_KEYS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
"""Numbers that learning-rate schedules of torch add to an optimizer's groups."""
_SCHEDULES = "_schedulers"
"""Key of the schedules that a schedule of torch consists of."""

_States = Mapping[int, Mapping[str, Any]]
"""What an optimizer keeps for each parameter, by the parameter's number."""


def check_optimizer(saved: Mapping[str, Any], optimizer: Optimizer, place: str) -> None:
    """Refuse what an optimizer could not go on with.

    Args:
        saved: The saved state, of the structure of its own.
        optimizer: The optimizer, before it has made a step.
        place: Dotted place of the state.

    Raises:
        StateError: If it could not.
    """
    own = optimizer.state_dict()
    if missing := [key for key in ("param_groups", "state") if saved.get(key) is None]:
        raise StateError(f"it has no `{place}.{missing[0]}`")
    groups, states = saved["param_groups"], saved["state"]
    is_known = type(optimizer) in (*_ELEMENTWISE, optim.Adafactor)
    for number, (group, own_group) in enumerate(zip(groups, own["param_groups"], strict=True)):
        _check_group(group, own_group, optimizer, f"{place}.param_groups.{number}")
        if is_known:
            _check_settings(group, optimizer, f"{place}.param_groups.{number}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    place = f"{place}.state"
    _check_keys(states, own["state"], len(parameters), place)
    if isinstance(optimizer, optim.Adafactor):
        _check_factored(states, parameters, place)
    elif type(optimizer) in _ELEMENTWISE:
        for group in own["param_groups"]:
            begun = _state_after_a_step(optimizer, group)
            for index in states.keys() & {*group["params"]}:
                if not (isinstance(optimizer, optim.SGD) and states[index] == {_MOMENTUM: None}):
                    _check_elementwise(states[index], begun, parameters[index], f"{place}.{index}")


def _check_group(saved: Mapping[str, Any], own: Mapping[str, Any], optimizer: Optimizer, place: str) -> None:
    """Refuse parameters of a group that are not its own, and settings that are missing or of another kind."""
    if saved.get("params") != own["params"]:
        raise StateError(f"its `{place}.params` are not those of the model")
    settings = {**optimizer.defaults, **own}
    if missing := [key for key, value in settings.items() if key not in saved and not _may_lack(optimizer, value)]:
        raise StateError(f"its `{place}` has no {missing[0]!r}")
    fresh = {**settings, **dict.fromkeys(_IMPLEMENTATION_FLAGS)}
    fresh |= {key: 0.0 for key in _SCHEDULED_KEYS if key in saved}
    check_structure(saved, fresh, place)
    for value, own_value, where in leaf_pairs(saved, settings, place):
        if isinstance(own_value, int | float) and own_value >= 0 and not (value is None or value >= 0):
            raise StateError(f"its `{where}` is {shown(value)}, not a number from 0 on")
    for key, value in settings.items():
        if _flag_differs(saved.get(key, value), value, key):
            raise StateError(f"its `{place}.{key}` is {shown(saved[key])}, not as it is set")


def _may_lack(optimizer: Optimizer, value: object) -> bool:
    """Whether the state of another version of torch may lack a setting of a value: later ones are flags."""
    return type(optimizer) in _ELEMENTWISE and (value is None or isinstance(value, bool))


def _flag_differs(saved: Any, own: Any, key: str) -> bool:  # noqa: ANN401  # of a file, and of any optimizer
    """Whether a setting that is true or false, or a momentum that is 0 or not, differs; those of the machine may."""
    if key == "momentum" and own is not None:
        return (float(saved) == 0) is not (float(own) == 0)
    if key in _IMPLEMENTATION_FLAGS:
        return not (saved is None or isinstance(saved, bool))
    return isinstance(own, bool) and saved is not own


def _check_keys(saved: _States, begun: _States, number: int, place: str) -> None:
    """Refuse states of other parameters, and those that lack what an optimizer has from its beginning."""
    are_numbers = all(type(index) is int and 0 <= index < number for index in saved)
    if not are_numbers or not all(isinstance(values, Mapping) for values in saved.values()):
        raise StateError(f"its `{place}` is not that of {number} parameters")
    if any(index not in saved or not values.keys() <= saved[index].keys() for index, values in begun.items()):
        raise StateError(f"its `{place}` lacks values that the optimizer begins with")


def _check_factored(saved: _States, parameters: Sequence[Tensor], place: str) -> None:
    """Refuse what are not Adafactor's means over some dimensions of the parameters."""
    for index, values in saved.items():
        shape = tuple(parameters[index].shape)
        needed = _FACTORED_KEYS if len(shape) > 1 else _VECTOR_KEYS
        if not needed <= values.keys():
            raise StateError(f"its `{place}.{index}` has not all of {', '.join(sorted(needed))}")
        for name, value in values.items():
            shapes = {"variance": shape, "row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, *shape[-1:])}
            has_shape = isinstance(value, Tensor) and name in shapes and tuple(value.shape) == shapes[name]
            if not (_is_number(value, name) if name == "step" else has_shape):
                raise StateError(f"its `{place}.{index}.{name}` does not fit the parameter")


def _check_settings(saved: Mapping[str, Any], optimizer: Optimizer, place: str) -> None:
    """Refuse settings of a group with which an optimizer of torch cannot be made, or makes no step."""
    kind: Any = type(optimizer)
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.ones(2, 2)
    accepted = signature(kind).parameters.keys() - {"params", *_OF_MACHINE}
    try:
        kind([parameter], **{key: value for key, value in saved.items() if key in accepted}).step()
    except Exception as error:  # of any type
        reason = one_line_reason(error)
        raise StateError(f"its `{place}` has settings with which {kind.__name__} makes no step ({reason})") from error


def _state_after_a_step(optimizer: Optimizer, group: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an optimizer of torch keeps for a parameter of a group, from one step with a parameter of one value."""
    parameter = nn.Parameter(torch.zeros(1, 1))
    parameter.grad = torch.zeros(1, 1)
    kind: Any = type(optimizer)
    probe: Optimizer = kind([parameter], lr=0.1)
    probe.param_groups[0] |= {key: value for key, value in group.items() if key not in ("params", *_OF_MACHINE)}
    probe.step()
    state: Mapping[str, Any] = probe.state[parameter]
    return state


def _check_elementwise(saved: Mapping[str, Any], begun: Mapping[str, Any], parameter: Tensor, place: str) -> None:
    """Refuse a parameter's state that lacks a value, or has one that is no number or tensor of its shape."""
    if missing := [name for name in begun if name not in saved]:
        raise StateError(f"its `{place}` has no {missing[0]!r}")
    for name, value in saved.items():
        own = begun.get(name, value)
        has_shape = isinstance(own, Tensor) and own.ndim > 0
        fits = isinstance(value, Tensor) and value.shape == parameter.shape if has_shape else _is_number(value, name)
        if not fits or (isinstance(own, Tensor) and not isinstance(value, Tensor)):
            raise StateError(f"its `{place}.{name}` is {shown(value)} that does not fit the parameter")


def _is_number(value: Any, name: str) -> bool:  # noqa: ANN401  # whatever a file holds
    """Whether a value is a number; of the steps one that is not negative."""
    return kind_of(value) == "a number" and not (name == "step" and not float(value) >= 0)


def check_schedule(saved: Mapping[str, Any], schedule: Any, place: str) -> None:  # noqa: ANN401  # torch's
    """Refuse a value that would replace a method or the optimizer, or is of another kind.

    A schedule takes all that its saved state holds.

    Args:
        saved: The saved state, of the structure of its own.
        schedule: A learning-rate schedule of torch.
        place: Dotted place of the state.

    Raises:
        StateError: If there is one.
    """
    own = schedule.state_dict()
    if wrong := [key for key in saved if key not in own and hasattr(schedule, str(key))]:
        raise StateError(f"its `{place}` holds {wrong[0]!r}")
    for key in own.keys() & saved.keys() - {_SCHEDULES}:
        check_structure(saved[key], own[key], f"{place}.{key}", require_all_keys=True)
        for pair in leaf_pairs(saved[key], own[key], f"{place}.{key}"):
            _check_setting(*pair)
    total, last = saved.get("total_steps"), saved.get("last_epoch")
    if isinstance(total, int | float) and isinstance(last, int | float) and total < last:
        raise StateError(f"its `{place}` has made {last} steps of {total}")
    inner = zip(saved.get(_SCHEDULES, ()), getattr(schedule, _SCHEDULES, ()), strict=False)
    for number, (state, one) in enumerate(inner):
        check_schedule(state, one, f"{place}.{_SCHEDULES}.{number}")


def _check_setting(saved: Any, own: Any, place: str) -> None:  # noqa: ANN401  # values of any schedule
    """Refuse a text, or a value that is true or false, that is not the schedule's own, and a count that is none."""
    name = place.rpartition(".")[2]
    is_setting = isinstance(own, str) or (isinstance(own, bool) and not name.startswith("_"))
    if is_setting and saved != own:
        raise StateError(f"its `{place}` is {shown(saved)}, not {own!r}")
    is_whole = isinstance(saved, int | float) and float(saved).is_integer()  # 10.0 is 10 as a setting
    if name in _COUNTS and isinstance(own, int) and not (is_whole and saved >= min(own, 1)):
        raise StateError(f"its `{place}` is {shown(saved)}, not a whole number of steps")
    if name in _DIVISORS and own > 0 and not saved > 0:
        raise StateError(f"its `{place}` is {shown(saved)}, not a number above 0")
