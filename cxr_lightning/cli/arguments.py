"""Helpers for the arguments of the verbs: paths, lists of names, and options that exclude each other."""

from collections.abc import Mapping
from functools import partial

import typer

PathArgument = partial(typer.Argument, readable=False)
PathOption = partial(typer.Option, readable=False)
"""Parameters that name a file or folder: whether it can be read is found where it is read, as an error of the verb."""

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""Context of a verb that passes all its arguments on, ``--help`` among them."""


def comma_separated(text: str) -> list[str]:
    """Names separated by commas.

    Example:
        >>> comma_separated("Mass, Edema")
        ['Mass', 'Edema']
    """
    return [name.strip() for name in text.split(",")]


def refuse_several(given: Mapping[str, bool]) -> None:
    """Refuse more than one of several options that exclude each other.

    Args:
        given: Whether each option is on the command line.

    Raises:
        typer.BadParameter: If more than one is.
    """
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise typer.BadParameter("Expected one of them but got both. Leave one out.", param_hint=names)
