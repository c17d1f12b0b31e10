"""The job of cxr leaderboard."""

import argparse

from cxr_lightning.app.sweep_jobs import read_leaderboard
from cxr_lightning.report.leaderboard import show_leaderboard


def leaderboard(parsed: argparse.Namespace) -> int:
    """Print a sweep's leaderboard, and write it into the sweep's folder."""
    show_leaderboard(read_leaderboard(parsed.folder), parsed.folder)
    return 0
