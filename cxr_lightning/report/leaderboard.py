"""A sweep's leaderboard as a file, a table for the terminal, and a figure."""

import math
from pathlib import Path
from textwrap import wrap

from matplotlib.figure import Figure
from rich import box

from cxr_lightning.evaluation.leaderboard import Leaderboard, LeaderboardEntry
from cxr_lightning.report.figure_export import save_png
from cxr_lightning.report.formats import format_number
from cxr_lightning.report.theme import BLUE, MUTED, ORANGE, figure_style
from cxr_lightning.report.wording import DIFFERENT_VALIDATION, sweep_title
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.file_names import SWEEP_FILES
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.terminal import say
from cxr_lightning.utils.text_tables import TextTable, show_table

_CSV_FILE, _FIGURE_FILE = SWEEP_FILES
_MAX_DRAWN_ENTRIES = 30
_MAX_LINE_LENGTH, _MAX_TITLE_LENGTH = 52, 100


def show_leaderboard(board: Leaderboard, folder: Path) -> None:
    """Print a sweep's leaderboard, and write it into the sweep's folder."""
    write_leaderboard(board, folder)
    show_table(leaderboard_table(board))
    if not board.same_validation:
        say(f"note: {DIFFERENT_VALIDATION}")
    say(f"leaderboard: {folder / _CSV_FILE}")


def write_leaderboard(board: Leaderboard, folder: Path) -> None:
    """Write ``leaderboard.csv`` and ``leaderboard.png``."""
    _write_csv(board, folder / _CSV_FILE)
    save_png(leaderboard_figure(board), folder / _FIGURE_FILE)


def leaderboard_table(board: Leaderboard) -> TextTable:
    """Table of the configurations, best first, for the terminal."""
    caption = f"selected on {board.monitor} of validation images. {NOT_FOR_CLINICAL_USE}"
    table = TextTable(title=sweep_title(board.sources, board.synthetic), caption=caption, box=box.SIMPLE_HEAD)
    for name in ("configuration", board.monitor, "SD", "seeds", "test AUROC"):
        table.add_column(name, justify="left" if name == "configuration" else "right", overflow="fold")
    for entry in board.entries:
        test = f"{format_number(entry.test_mean)} ± {format_number(entry.test_deviation)}" if entry.test else ""
        table.add_row(
            _description(entry),
            format_number(entry.mean),
            format_number(entry.deviation),
            _count_seeds(entry),
            test,
        )
    return table


def leaderboard_figure(board: Leaderboard) -> Figure:
    """Draw the monitored number of every seed, and the mean of each configuration."""
    drawn = [entry for entry in board.entries if entry.values][:_MAX_DRAWN_ENTRIES]
    height = 1.1 + 0.36 * max(1, len(drawn))
    with figure_style():
        figure = Figure(figsize=(8, height))
        color, weight = (ORANGE, "bold") if board.synthetic else (MUTED, "normal")
        figure.text(
            0.01,
            1 - 0.08 / height,
            shorten(sweep_title(board.sources, board.synthetic), _MAX_TITLE_LENGTH),
            color=color,
            weight=weight,
            va="top",
            fontsize=8,
        )
        figure.text(0.01, 1 - 0.24 / height, NOT_FOR_CLINICAL_USE, color=MUTED, va="top", fontsize=7.5)
        axes = figure.add_axes((0.42, 0.5 / height, 0.55, 1 - 0.95 / height))
        for row, entry in enumerate(drawn):
            axes.plot(entry.values, [row] * len(entry.values), "o", color=BLUE, alpha=0.45, markersize=4)
            axes.plot([entry.mean], [row], "|", color=BLUE, markersize=14, markeredgewidth=2)
        axes.set_yticks(range(len(drawn)), [_wrap(_description(entry)) for entry in drawn])
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.set_xlabel(f"{shorten(board.monitor, 40)}: seeds, and their mean (validation)")
        axes.grid(axis="x", alpha=0.3)
    figure.set_label("leaderboard")
    return figure


def _write_csv(board: Leaderboard, path: Path) -> None:
    names = sorted({name for entry in board.entries for name in entry.settings})
    columns = ["rank", *names, "monitor", "mean", "sd", "seeds", "jobs", "test_auroc", "test_sd"]
    with atomic_write_text(path) as file:
        writer = TableWriter(file)
        writer.writerow(columns)
        for rank, entry in enumerate(board.entries, start=1):
            settings = [entry.settings.get(name, "") for name in names]
            values = [entry.mean, entry.deviation, len(entry.values), entry.jobs]
            test = [entry.test_mean, entry.test_deviation]
            writer.writerow([rank, *settings, board.monitor, *map(_cell, values), *map(_cell, test)])


def _cell(value: float) -> float | None:
    return None if math.isnan(value) else value


def _description(entry: LeaderboardEntry) -> str:
    """Settings of a configuration, with numbers rounded."""
    return " ".join(f"{name}={_round(value)}" for name, value in entry.settings.items()) or "all jobs"


def _round(value: str) -> str:
    try:
        return value if len(value) < 8 else f"{float(value):.4g}"
    except ValueError:
        return value


def _wrap(text: str) -> str:
    """Wrap a configuration's name into at most two lines of the figure."""
    return "\n".join(wrap(shorten(text, 2 * _MAX_LINE_LENGTH), _MAX_LINE_LENGTH, max_lines=2, placeholder="…"))


def _count_seeds(entry: LeaderboardEntry) -> str:
    finished = len(entry.values)
    return str(finished) if finished == entry.jobs else f"{finished} of {entry.jobs}"
