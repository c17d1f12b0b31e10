"""A sweep's leaderboard as a file, a table for the terminal, and a figure."""

import csv
import math
from pathlib import Path
from textwrap import wrap

from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_lightning.evaluation.leaderboard import Leaderboard, Standing, deviation, mean
from cxr_lightning.report.drawing import save_png
from cxr_lightning.report.metrics_table import escaped
from cxr_lightning.report.tables import NOT_FOR_CLINICAL_USE, number
from cxr_lightning.report.theme import BLUE, MUTED, ORANGE, drawing, shortened
from cxr_lightning.utils.io import atomic_write_text

CSV_FILE, FIGURE_FILE = "leaderboard.csv", "leaderboard.png"
_MOST_DRAWN = 30
_LINE = 52


def show_leaderboard(board: Leaderboard, folder: Path) -> None:
    """Print a sweep's leaderboard, and write it into the sweep's folder."""
    write_leaderboard(board, folder)
    console = Console()
    console.print(leaderboard_table(board))
    for note in board.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print(f"leaderboard: {folder / CSV_FILE}", markup=False, highlight=False, soft_wrap=True)


def write_leaderboard(board: Leaderboard, folder: Path) -> None:
    """Write ``leaderboard.csv`` and ``leaderboard.png``."""
    _write_csv(board, folder / CSV_FILE)
    save_png(leaderboard_figure(board), folder / FIGURE_FILE)


def leaderboard_table(board: Leaderboard) -> Table:
    """Configurations, best first, for the terminal."""
    caption = f"selected on {board.monitor} of validation images. {NOT_FOR_CLINICAL_USE}"
    table = Table(
        title=Text(board.title, style="table.title"), caption=Text(caption, style="table.caption"), box=box.SIMPLE_HEAD
    )
    for name in ("configuration", board.monitor, "SD", "seeds", "test AUROC"):
        table.add_column(Text(name), justify="left" if name == "configuration" else "right", overflow="fold")
    for standing in board.standings:
        test = f"{number(mean(standing.test))} ± {number(deviation(standing.test))}" if standing.test else ""
        seeds = str(len(standing.values)) if len(standing.values) == standing.jobs else _of(standing)
        table.add_row(Text(_words(standing)), number(standing.mean), number(standing.deviation), seeds, test)
    return table


def leaderboard_figure(board: Leaderboard) -> Figure:
    """Every seed's number, and the mean of each configuration."""
    drawn = [standing for standing in board.standings if standing.values][:_MOST_DRAWN]
    height = 1.1 + 0.36 * max(1, len(drawn))
    with drawing():
        figure = Figure(figsize=(8, height))
        color, weight = (ORANGE, "bold") if board.synthetic else (MUTED, "normal")
        figure.text(0.01, 1 - 0.08 / height, board.title, color=color, weight=weight, va="top", fontsize=8)
        figure.text(0.01, 1 - 0.24 / height, NOT_FOR_CLINICAL_USE, color=MUTED, va="top", fontsize=7.5)
        axes = figure.add_axes((0.42, 0.5 / height, 0.55, 1 - 0.95 / height))
        for row, standing in enumerate(drawn):
            axes.plot(standing.values, [row] * len(standing.values), "o", color=BLUE, alpha=0.45, markersize=4)
            axes.plot([standing.mean], [row], "|", color=BLUE, markersize=14, markeredgewidth=2)
        axes.set_yticks(range(len(drawn)), [_lines(_words(standing)) for standing in drawn])
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.set_xlabel(f"{board.monitor}: seeds, and their mean (validation)")
        axes.grid(axis="x", alpha=0.3)
    figure.set_label("leaderboard")
    return figure


def _write_csv(board: Leaderboard, path: Path) -> None:
    names = sorted({name for standing in board.standings for name in standing.settings})
    columns = ["rank", *map(escaped, names), "monitor", "mean", "sd", "seeds", "jobs", "test_auroc", "test_sd"]
    with atomic_write_text(path) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for place, standing in enumerate(board.standings, start=1):
            settings = [escaped(standing.settings.get(name, "")) for name in names]
            values = [standing.mean, standing.deviation, len(standing.values), standing.jobs]
            test = [mean(standing.test), deviation(standing.test)]
            writer.writerow([place, *settings, board.monitor, *map(_cell, values), *map(_cell, test)])


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _words(standing: Standing) -> str:
    """The settings, numbers with the digits that matter."""
    return " ".join(f"{name}={_rounded(value)}" for name, value in standing.settings.items()) or "all jobs"


def _rounded(value: str) -> str:
    try:
        return value if len(value) < 8 else f"{float(value):.4g}"
    except ValueError:
        return value


def _lines(text: str) -> str:
    """At most two, for a figure."""
    return "\n".join(wrap(shortened(text, 2 * _LINE), _LINE, max_lines=2, placeholder="…"))


def _of(standing: Standing) -> str:
    return f"{len(standing.values)} of {standing.jobs}"
