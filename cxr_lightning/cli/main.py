"""The ``cxr`` command: tools that read and write files, without a configuration folder."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pkgutil import resolve_name
from types import ModuleType

from cxr_lightning.cli import check, compare, convert, explain, export, leaderboard, phantom, predict, prepare
from cxr_lightning.utils.versions import versions

_VERBS = (predict, check, export, phantom, prepare, compare, convert, explain, leaderboard)
"""A module per verb: its docstring is the help text. The job of the same name in ``cli/jobs`` is imported once the
arguments are checked, so that help and refusals answer at once."""
_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
"""Exit status that shells report for a program that was stopped by Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line; the process's own by default.

    Returns:
        The exit code: 0, or 1 after a message on stderr, or 130 after Ctrl-C.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be in no encoding
    parsed = _build_parser().parse_args(arguments)
    try:
        if check := getattr(parsed, "check", None):
            check(parsed)
        code: int = resolve_name(parsed.job)(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `| head`, has ended; keeps Python from an error of its own at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_FAILED
    except (ValueError, OSError, ImportError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, MemoryError):
            text = f"Expected more memory but there is none left ({text}). Stop other programs."
        print(f"error: {text}", file=sys.stderr)
        return _EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return code


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxr", description="Tools for chest X-ray classifiers. Not for clinical use.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version="\n".join(f"{k} {v}" for k, v in versions().items()))
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for module in _VERBS:
        _add_verb(verbs, module)
    return parser


def _add_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", module: ModuleType) -> None:
    name = module.__name__.rpartition(".")[2]
    summary, _, description = (module.__doc__ or "").strip().partition("\n\n")
    text = summary.removesuffix(".")
    verb = verbs.add_parser(name, help=text[0].lower() + text[1:], description=" ".join(description.split()))
    module.add_arguments(verb)
    verb.set_defaults(job=f"cxr_lightning.cli.jobs.{name}:{name}")
