"""The callbacks of Lightning's trainer, by their class."""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # Lightning's import takes seconds
    import pytorch_lightning as pl

CallbackType = TypeVar("CallbackType")


def callbacks_of(trainer: "pl.Trainer", kind: type[CallbackType]) -> list[CallbackType]:
    """The trainer's callbacks of a class, in their order.

    Args:
        trainer: The trainer.
        kind: The class.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # set by Lightning's connector
    return [callback for callback in callbacks if isinstance(callback, kind)]


def find_callback(trainer: "pl.Trainer", kind: type[CallbackType]) -> CallbackType | None:
    """The trainer's first callback of a class; None if there is none."""
    return next(iter(callbacks_of(trainer, kind)), None)
