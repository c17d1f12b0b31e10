"""The verb ``leaderboard``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

from cxr_lightning.cli.arguments import PathArgument


def leaderboard(
    folder: Annotated[Path, PathArgument(metavar="FOLDER", help="a sweep's, such as logs/train/multiruns/TIME")],
) -> None:
    """Show a sweep's configurations, best first.

    Mean and standard deviation over seeds of the number that each configuration of a sweep was selected on, and the
    test number of the selected one; written to leaderboard.csv and leaderboard.png in the sweep's folder too. train.py
    -m does the same at its end.
    """
    resolve_name("cxr_lightning.app.sweep_jobs:show_sweep")(folder)
