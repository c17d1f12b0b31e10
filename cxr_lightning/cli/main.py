"""The ``cxr`` command: everything that is files in, files out. It needs no configuration folder."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from cxr_lightning.cli import check, compare, convert, explain, export, leaderboard, phantom, predict, prepare
from cxr_lightning.utils.versions import versions

FAILED = 1
INTERRUPTED = 130
"""What shells report of a program that was stopped by Ctrl-C."""


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
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python would complain again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ValueError, OSError, ImportError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, MemoryError):
            text = f"Expected more memory but there is none left ({text}). Stop other programs."
        print(f"error: {text}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxr", description="Tools for chest X-ray classifiers. Not for clinical use.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version="\n".join(f"{k} {v}" for k, v in versions().items()))
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in (predict, check, export, phantom, prepare, compare, convert, explain, leaderboard):
        verb.add(verbs)
    return parser
