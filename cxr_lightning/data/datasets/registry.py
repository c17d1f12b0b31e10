"""Every layout by its name, as the command line and a checkpoint's record name it."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from cxr_lightning.data import datasets
from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.utils.plugins import import_trusted


@cache
def layouts() -> Mapping[str, type[DatasetLayout]]:
    """The layouts of this package by name: the subclasses of ``DatasetLayout`` in the modules of this folder."""
    found: dict[str, type[DatasetLayout]] = {}
    for module in iter_modules(datasets.__path__):
        for value in vars(import_module(f"{datasets.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, DatasetLayout) and value is not DatasetLayout:
                assert found.setdefault(value.name, value) is value, f"two layouts have the name {value.name}"
    return MappingProxyType(found)


def build_layout(name: str, **options: Any) -> DatasetLayout:  # noqa: ANN401  # each layout's own
    """Build a layout from its name, or from a checkpoint's record of it.

    Args:
        name: Name of a layout of this package, or the dotted name of a class of a trusted package.
        options: Its constructor's arguments.

    Raises:
        ValueError: If the name or an option is unknown, as in a record of a later version, or its package is not
            trusted.
    """
    layout = import_trusted(name, "the data set's layout") if "." in name else layouts().get(name)
    if isinstance(layout, type) and issubclass(layout, DatasetLayout) and _takes(layout, options):
        return layout(**options)
    raise ValueError(
        f"Expected a layout among {sorted(layouts())}, or a class of that kind in a trusted package, with its options "
        f"but got {name!r} with {options}. Choose the data yourself: data=nih, walkthrough, csv or phantom."
    )


def _takes(layout: type[DatasetLayout], options: Mapping[str, Any]) -> bool:
    """Whether a layout's constructor takes these arguments."""
    try:
        inspect.signature(layout).bind(**options)
    except TypeError:
        return False
    return True


def layout_record(layout: DatasetLayout) -> dict[str, Any]:
    """Name and options of a layout as plain values, from which :func:`build_layout` builds it again.

    Raises:
        ValueError: If its options cannot be recorded.
    """
    kind = type(layout)
    name = layout.name if layouts().get(layout.name) is kind else f"{kind.__module__}.{kind.__qualname__}"
    try:
        options: dict[str, Any] = asdict(layout) if is_dataclass(layout) else dict(vars(layout))
        return {"name": name, **json.loads(json.dumps(options))}
    except TypeError as error:
        raise ValueError(
            f"Expected plain values as the options of the layout {name} but {error}. A checkpoint records them: use "
            "text, numbers and lists."
        ) from error
