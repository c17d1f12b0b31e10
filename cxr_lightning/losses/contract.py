"""What a loss offers: a scalar from logits and targets and, if it can tell, the loss of the best constant prediction.

A loss is any ``nn.Module`` that is called with logits ``(B, C)`` float32 and targets ``(B, C)`` (1 present, 0 absent,
NaN unknown) and returns a scalar.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

LOSS_PREFIX = "loss."
"""Prefix of the loss's tensors in the state of a model."""
_TRIED_IMAGES = 64


@runtime_checkable
class ConstantBaseline(Protocol):
    """A loss that can tell the loss of the best prediction that is the same for every image."""

    def constant_baseline(self, prevalence: Tensor, targets: Tensor) -> float:
        """Loss of the best constant prediction.

        Args:
            prevalence: Fraction of positives of each label in the training set, ``(C,)`` in [0, 1], NaN if unknown.
            targets: Ground truth on which the loss is computed, ``(N, C)``.
        """


def make_loss(configured: object, targets: Tensor) -> nn.Module:
    """The loss of a training: the configured one, or that which the configured factory makes of the training targets.

    Args:
        configured: A loss, or a function or class that is called with the targets.
        targets: Ground truth of the training set, ``(N, C)``; 1, 0 or NaN (unknown).

    Raises:
        ValueError: If that is no ``nn.Module``, or its result on training targets is no finite scalar.
    """
    loss = configured
    if callable(configured) and not isinstance(configured, nn.Module):
        try:
            loss = configured() if _is_of_torch(configured) else configured(targets)
        except TypeError as error:
            raise ValueError(
                f"Expected `loss` to be made from the training targets but got {error}. Correct its settings, or leave "
                "out `_partial_` for a class that takes no targets."
            ) from error
    if not isinstance(loss, nn.Module):
        raise ValueError(
            f"Expected `loss` to be an nn.Module, or to make one from the training targets, but got {loss!r}. "
            "Name a class of that kind as 'loss._target_'."
        )
    _try_loss(loss, targets)
    return loss


def _is_of_torch(configured: object) -> bool:
    """Whether what is configured makes a loss of torch, whose first argument would be weights rather than targets."""
    made = configured.func if isinstance(configured, partial) else configured
    return isinstance(made, type) and made.__module__.startswith("torch.nn.")


def _try_loss(loss: nn.Module, targets: Tensor) -> None:
    """Refuse a loss whose result on some training targets, unknown ones among them, is no finite scalar."""
    unknown = targets.isnan().any(dim=1)
    tried = torch.cat([targets[unknown][:_TRIED_IMAGES], targets[~unknown][:_TRIED_IMAGES]])
    name = loss_name(loss)
    logits = torch.zeros_like(tried).requires_grad_()
    try:
        value = loss(logits, tried)
    except Exception as error:  # somebody else's code may fail in any way
        raise ValueError(
            f"Expected `loss` to take logits and targets of shape {tuple(tried.shape)} but {name} fails "
            f"({type(error).__name__}: {error}). Correct the loss or its settings."
        ) from error
    if not isinstance(value, Tensor) or value.ndim > 0:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"Expected a scalar of `loss` but {name} returns {shape}. Reduce it over images and labels.")
    if not value.is_floating_point() or not value.requires_grad:
        raise ValueError(
            f"Expected a real number of `loss` that depends on the logits but {name} returns {value.dtype} without a "
            "gradient. Compute it from the logits with torch."
        )
    if not math.isfinite(value.item()):
        hint = " Targets that are NaN (unknown) must add nothing." if unknown.any() else ""
        raise ValueError(
            f"Expected a finite number of `loss` for logits of 0 but {name} returns {value.item()}.{hint} Correct it."
        )


def constant_loss(loss: nn.Module, prevalence: Tensor, targets: Tensor) -> float:
    """Loss of the best constant prediction; NaN if the loss does not tell it.

    Args:
        loss: A loss, which may be a :class:`ConstantBaseline`.
        prevalence: Fraction of positives of each label in the training set, ``(C,)`` in [0, 1], NaN if unknown.
        targets: Ground truth on which the loss is computed, ``(N, C)``.

    Raises:
        ValueError: If the loss fails to tell it.
    """
    if not isinstance(loss, ConstantBaseline):
        return math.nan
    try:
        with torch.no_grad():
            return float(loss.constant_baseline(prevalence, targets))
    except Exception as error:  # somebody else's code may fail in any way
        raise ValueError(
            f"Expected a number of `constant_baseline` of {loss_name(loss)} but it fails "
            f"({type(error).__name__}: {error}). Correct it, or leave it out."
        ) from error


def loss_name(loss: nn.Module) -> str:
    """Dotted name of a loss's class, for records and messages."""
    return f"{type(loss).__module__}.{type(loss).__qualname__}"


def with_fitting_loss(state: Mapping[str, Any], loss: nn.Module) -> dict[str, Any]:
    """A model's saved state with its loss's part if it fits the loss, and else with the loss's own.

    A model can so be read without the loss that it was trained with.

    Args:
        state: Saved state of a model.
        loss: The loss of the model that the state is loaded into.
    """
    own = {f"{LOSS_PREFIX}{name}": value for name, value in loss.state_dict().items()}
    saved = {name: value for name, value in state.items() if name.startswith(LOSS_PREFIX)}
    fits = {name: _shape(value) for name, value in saved.items()} == {
        name: _shape(value) for name, value in own.items()
    }
    rest = {name: value for name, value in state.items() if not name.startswith(LOSS_PREFIX)}
    return rest | (saved if fits else own)


def _shape(value: object) -> object:
    return value.shape if isinstance(value, Tensor) else type(value)
