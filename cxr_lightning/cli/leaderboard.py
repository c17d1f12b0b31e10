"""A sweep's configurations, best first.

Mean and standard deviation over seeds of the number that each configuration of a sweep was selected on, and the test
number of the selected one; written to leaderboard.csv and leaderboard.png in the sweep's folder too. train.py -m does
the same at its end.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a sweep's, such as logs/train/multiruns/TIME")
