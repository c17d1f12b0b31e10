"""cxr leaderboard: a sweep's configurations, best first."""

import argparse
from pathlib import Path


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "leaderboard",
        help="a sweep's configurations, best first",
        description="Mean and standard deviation over seeds of the number that each configuration of a sweep was "
        "selected on, and the test number of the selected one; written to leaderboard.csv and leaderboard.png in the "
        "sweep's folder too. train.py -m does the same at its end.",
    )
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="a sweep's, such as logs/train/multiruns/TIME")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    from cxr_lightning.evaluation.leaderboard import read_leaderboard
    from cxr_lightning.report.leaderboard import show_leaderboard

    show_leaderboard(read_leaderboard(parsed.folder), parsed.folder)
    return 0
