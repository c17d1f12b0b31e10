"""Helpers for the arguments of the verbs: paths, lists of names, and options that exclude each other."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import typer


def given_path(text: str) -> Path:
    """The path that an argument names; whether it can be read is found where it is read, as an error of the verb.

    Args:
        text: The argument; an empty one, as of a shell's variable that is not set, would be the current folder.

    Raises:
        typer.BadParameter: If it is empty.
    """
    if not text:
        raise typer.BadParameter("Expected a path but got ''. Give one, or leave it out.")
    return Path(text)


PathArgument = partial(typer.Argument, parser=given_path)
PathOption = partial(typer.Option, parser=given_path)
"""Parameters that name a file or folder."""

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
