"""Which classes and functions a configuration may name as ``_target_``: those of the kind that its key takes.

A class comes from this package, from the public modules of its kind, or from a package that is trusted by name
(:mod:`cxr_lightning.utils.plugins`). Functions are limited to the factories that are named here.
"""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from pkgutil import resolve_name

from cxr_lightning.app.source_names import is_missing_module, written_names
from cxr_lightning.app.version_0_1 import RENAMED_TARGETS
from cxr_lightning.app.written_arguments import Arguments, is_written_subclass, written_arguments
from cxr_lightning.utils.plugins import how_to_trust, import_trusted, is_within, trusted_packages
from cxr_lightning.utils.suggestions import did_you_mean

_PACKAGE = "cxr_lightning"


@dataclass(frozen=True)
class TargetKind:
    """The classes and functions that a key takes.

    Attributes:
        name: What it is, for errors.
        bases: Classes, as ``module:name``; a target is a subclass of one of them.
        modules: Public modules of other libraries from which it may come.
        factories: Functions of this package that may be named instead.
        classes: Classes of other libraries that may be named, where not all of a module may.
    """

    name: str
    bases: tuple[str, ...]
    modules: tuple[str, ...] = ()
    factories: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


_KINDS = {
    "data": TargetKind("data module", ("cxr_lightning.data.datamodule:ChestXRayDataModule",)),
    "data.source": TargetKind("layout of a data set", ("cxr_lightning.data.datasets.base:DatasetLayout",)),
    "data.augmentation": TargetKind("augmentation", ("cxr_lightning.data.augment:Augmentation",)),
    "model": TargetKind("model", ("cxr_lightning.models.classifier:ChestXRayClassifier",)),
    "loss": TargetKind("loss", ("torch.nn:Module",), ("torch.nn",), ("cxr_lightning.losses.bce.build_loss",)),
    "optimizer": TargetKind("optimizer", ("torch.optim:Optimizer",), ("torch.optim",)),
    "scheduler": TargetKind(
        "learning-rate schedule",
        ("torch.optim.lr_scheduler:LRScheduler",),
        ("torch.optim.lr_scheduler",),
        ("cxr_lightning.models.schedules.cosine",),
    ),
    "trainer": TargetKind("trainer", ("pytorch_lightning:Trainer",), ("pytorch_lightning",)),
    "trainer.strategy": TargetKind(
        "strategy", ("pytorch_lightning.strategies:Strategy",), ("pytorch_lightning.strategies",)
    ),
    "trainer.profiler": TargetKind(
        "profiler", ("pytorch_lightning.profilers:Profiler",), ("pytorch_lightning.profilers",)
    ),
    "callbacks.*": TargetKind(
        "callback",
        ("pytorch_lightning:Callback",),
        ("pytorch_lightning.callbacks",),
        ("cxr_lightning.training.callbacks.snapshots",),
    ),
    "logger.*": TargetKind(
        "logger",
        ("pytorch_lightning.loggers:Logger",),
        classes=tuple(
            f"pytorch_lightning.loggers.{name}"  # those of conf/logger; others send data away too
            for name in ("TensorBoardLogger", "CSVLogger", "WandbLogger")
        ),
    ),
}
"""Kinds by key; ``*`` stands for one name."""

_ANY_KIND = TargetKind(
    "part of one of " + ", ".join(sorted({key.partition(".")[0] for key in _KINDS})),
    tuple(base for kind in _KINDS.values() for base in kind.bases),
    tuple(module for kind in _KINDS.values() for module in kind.modules if module != "pytorch_lightning"),
    classes=tuple(name for kind in _KINDS.values() for name in kind.classes),
)
"""The kind of a node within another one, such as the base of a loss."""


def find_target(key: str, target: object) -> Callable[..., object]:
    """Import the class or factory that a configuration names.

    Args:
        key: Dotted key of the node.
        target: The value of its ``_target_``.

    Raises:
        ValueError: If it is not of the kind that the key takes, is not trusted, or does not exist.
        ImportError: If its package cannot be imported.
    """
    kind = _kind_of(key)
    name = _trusted_name(kind, key, target)
    found = _import_target(key, name)
    if name in kind.factories and callable(found):
        return found
    if inspect.isclass(found) and issubclass(found, tuple(resolve_name(base) for base in kind.bases)):
        return found
    raise ValueError(
        f"Expected a {kind.name} as '{key}._target_' but '{name}' is none: a class of that kind "
        f"({', '.join(base.replace(':', '.') for base in kind.bases[:3])}) is needed. Name one."
    )


def arguments_of_target(key: str, target: object) -> Arguments:
    """Arguments of the class or factory that a configuration names, without importing it.

    Args:
        key: Dotted key of the node.
        target: The value of its ``_target_``.

    Returns:
        What its source tells; any arguments if it is not known to be of the kind that the key takes.

    Raises:
        ValueError: If it is not trusted, or certainly does not exist.
    """
    kind = _kind_of(key)
    name = _trusted_name(kind, key, target)
    module, _, short = name.rpartition(".")
    if not is_within(name, trusted_packages()):
        names = written_names(module)
        if is_missing_module(module):
            raise ValueError(_describe_missing(key, name, f"there is no {module}"))
        if names is not None and short not in names:
            raise ValueError(_describe_missing(key, name, f"{module} has no {short}", names))
    is_of_kind = name in kind.factories or any(is_written_subclass(name, base.replace(":", ".")) for base in kind.bases)
    return (written_arguments(name) if is_of_kind else None) or Arguments(None, {})


def _trusted_name(kind: TargetKind, key: str, target: object) -> str:
    """The name of a target, if it is in a package from which its kind may come."""
    packages = (_PACKAGE, *kind.modules, *trusted_packages())
    if not isinstance(target, str) or not (target in kind.classes or is_within(target, packages)):
        known = ", ".join((_PACKAGE, *kind.modules, *kind.classes))
        is_dotted = isinstance(target, str) and "." in target
        shown = "null" if target is None else repr(target)
        raise ValueError(
            f"Expected a {kind.name} of {known} or a trusted package as '{key}._target_' but got {shown}. "
            f"{how_to_trust(str(target)) if is_dotted else 'Name one, or leave its default in place.'}"
        )
    return target


def _kind_of(key: str) -> TargetKind:
    group, _, rest = key.removeprefix("model.").partition(".")  # the model's optimizer and schedule have their own keys
    pattern = f"{group}.*" if rest and "." not in rest and f"{group}.*" in _KINDS else f"{group}.{rest}".rstrip(".")
    return _KINDS.get(pattern, _ANY_KIND)


def _import_target(key: str, target: str) -> object:
    if is_within(target, trusted_packages()):
        return import_trusted(target, f"'{key}._target_'")
    module, _, name = target.rpartition(".")
    try:
        found: object = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(_describe_missing(key, target, str(error))) from error
    return found


def _describe_missing(key: str, target: str, reason: str, names: Collection[str] = ()) -> str:
    module, _, name = target.rpartition(".")
    current = RENAMED_TARGETS.get(target)
    remedy = f"Since version 0.2 it is '{current}'." if current else did_you_mean(name, names, f"{module}.")
    return (
        f"Expected something that exists as '{key}._target_' but got '{target}' ({reason}). "
        f"{remedy or 'Correct the name.'}"
    )
