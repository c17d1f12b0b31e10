"""Hydra's parser of the command line, also on Python 3.14."""

from argparse import Action, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

_CHECK = "_check_help"


@contextmanager
def unchecked_help_texts() -> Iterator[None]:
    """Within the block argparse takes help texts that are no strings: Hydra 1.3 has one, which it builds when shown.

    Python 3.14 refuses it as soon as the argument is added, so that no Hydra program would start
    (github.com/facebookresearch/hydra/issues/3121).
    """
    outer = vars(ArgumentParser).get(_CHECK)
    setattr(ArgumentParser, _CHECK, _take_any)
    try:
        yield
    finally:
        if outer is None:
            delattr(ArgumentParser, _CHECK)
        else:
            setattr(ArgumentParser, _CHECK, outer)


def _take_any(parser: ArgumentParser, action: Action) -> None:
    """In place of argparse's check of an argument's help text."""
