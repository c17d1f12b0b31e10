"""Packages of other people that are trusted by name, and the objects in them.

A package is trusted through an entry point in the group ``cxr_lightning.plugins`` or through ``CXR_PLUGINS=my_package``
in the environment. No configuration, checkpoint or command line can extend that list.
"""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

ENTRY_POINT_GROUP = "cxr_lightning.plugins"
"""Group of the entry points whose values name trusted packages."""
PLUGINS_VARIABLE = "CXR_PLUGINS"
"""Environment variable with the names of trusted packages, separated by commas."""


_LIBRARIES = ("cxr_lightning", "hydra", "omegaconf", "pytorch_lightning", "torch", "torchvision")
"""Packages that nobody is advised to trust as a whole."""


def trusted_packages() -> tuple[str, ...]:
    """Dotted names of the trusted packages, without this one."""
    listed = [name.strip() for name in os.environ.get(PLUGINS_VARIABLE, "").split(",")]
    return tuple(dict.fromkeys(name for name in (*installed_plugins(), *listed) if name))


@cache
def installed_plugins() -> tuple[str, ...]:
    """Dotted names of the packages that are trusted through an entry point; looked up once, which takes 20 ms."""
    return tuple(entry_point.module for entry_point in entry_points(group=ENTRY_POINT_GROUP))


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is of one of these packages.

    Example:
        >>> is_within("torch.optim.Adam", ("torch.optim",)), is_within("torch.optimizer.Adam", ("torch.optim",))
        (True, False)
    """
    return any(name.startswith(f"{package}.") for package in packages)


def load_plugins() -> None:
    """Import the trusted packages, which register their metrics and verbs when they are imported.

    Raises:
        ImportError: If one cannot be imported.
    """
    for package in trusted_packages():
        _import(package)


def import_trusted(name: str, setting: str) -> object:
    """Import an object of a trusted package.

    Args:
        name: Dotted name, such as ``my_package.losses.FocalLoss``.
        setting: The setting or file that names it, for the error.

    Raises:
        ValueError: If its package is not trusted, or it has no such object.
        ImportError: If its package cannot be imported.
    """
    if not is_within(name, trusted_packages()):
        raise ValueError(f"Expected a trusted package in {setting} but got '{name}'. {how_to_trust(name)}")
    if any(part.startswith("_") for part in name.split(".")):  # such as __main__, whose import runs a program
        raise ValueError(f"Expected a public name in {setting} but got '{name}'. Names with an underscore are private.")
    module, _, attribute = name.rpartition(".")
    content = vars(_import(module))
    if attribute not in content:
        raise ValueError(
            f"Expected something that exists in {setting} but '{module}' has no '{attribute}'. Correct the name."
        )
    return content[attribute]


def how_to_trust(name: str) -> str:
    """Instruction for trusting the package of a dotted name."""
    package = name.partition(".")[0]
    if not package.isidentifier() or package in {*sys.stdlib_module_names, *_LIBRARIES}:
        package = "my_package"
    return (
        f"Other code runs only from packages that are trusted by name: set {PLUGINS_VARIABLE}={package} in the "
        f"environment, or install a package with an entry point in the group '{ENTRY_POINT_GROUP}'."
    )


def _import(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"Expected the trusted package's module '{module}' but it cannot be imported ({error}). Install it, or add "
            "its folder to PYTHONPATH."
        ) from error
    except (Exception, SystemExit) as error:  # somebody else's code may fail in any way
        raise ImportError(
            f"Expected the trusted package's module '{module}' to be imported but it fails "
            f"({type(error).__name__}: {error}). Correct it, or remove it from {PLUGINS_VARIABLE}."
        ) from error
