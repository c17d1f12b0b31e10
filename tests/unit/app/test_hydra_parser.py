"""Hydra's command line is read where argparse checks help texts when they are given, as Python 3.14 does."""

import argparse
import sys
from contextlib import suppress
from typing import Any

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning.app.hydra_parser import unchecked_help_texts
from cxr_lightning.app.train import run_train

BAD = "badly formed help string"


class LazyHelp:
    def __repr__(self) -> str:
        return "shown later"


@pytest.fixture(autouse=True)
def argparse_of_3_14(monkeypatch: pytest.MonkeyPatch) -> None:
    """argparse with the check that Python 3.14 added."""
    if sys.version_info >= (3, 14):
        return
    container: Any = argparse._ActionsContainer
    add_argument = container.add_argument

    def check_help(self: Any, action: argparse.Action) -> None:
        if action.help and hasattr(self, "_get_formatter"):
            try:
                self._get_formatter()._expand_help(action)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(BAD) from error

    def add_checked_argument(self: Any, *names: Any, **settings: Any) -> argparse.Action:
        action: argparse.Action = add_argument(self, *names, **settings)
        self._check_help(action)
        return action

    monkeypatch.setattr(container, "_check_help", check_help, raising=False)
    monkeypatch.setattr(container, "add_argument", add_checked_argument)


@pytest.mark.parametrize(("arguments", "shown"), [(["--cfg", "job"], "backbone: densenet121"), (["--help"], "Usage:")])
def test_the_program_starts(
    arguments: list[str], shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with suppress(SystemExit):  # after --help, with status 0
        run_train()
    assert shown in capsys.readouterr().out


def test_help_texts_are_unchecked_within_the_block_alone() -> None:
    with unchecked_help_texts():
        with unchecked_help_texts():
            argparse.ArgumentParser().add_argument("--inner", help=LazyHelp())  # type: ignore[arg-type]
        argparse.ArgumentParser().add_argument("--outer", help=LazyHelp())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=BAD):
        argparse.ArgumentParser().add_argument("--after", help=LazyHelp())  # type: ignore[arg-type]


def test_hydra_still_needs_it() -> None:
    """Once this fails, ``app/hydra_parser.py`` can go."""
    with pytest.raises(ValueError, match=BAD):
        get_args_parser()
