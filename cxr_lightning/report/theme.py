"""What all figures share: colours, small type, and text from data that stays text."""

import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.tables import NOT_FOR_CLINICAL_USE

INK, MUTED, RULE, PAPER = "#1b1f24", "#5c6570", "#d3d8de", "#ffffff"
BLUE, ORANGE = "#1f5fa8", "#c8501e"
WIDTH = 10.0
"""Inches across the widest figure."""

_RC: dict[Any, Any] = {
    "text.parse_math": False,  # a finding may be called `$\frac{`
    "svg.fonttype": "none",
    "svg.hashsalt": "cxr_lightning",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


@contextmanager
def drawing() -> Iterator[None]:
    """The look of our figures; needed to make one and again to save it, since ticks are made when drawn."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in another script; the page has it as text
        yield


def shortened(text: str, most: int = 30) -> str:
    """Text on one line, without control characters, cut where it is too long.

    Example:
        >>> shortened("Pleural Thickening", 10)
        'Pleural T…'
    """
    kept = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def evaluation_title(evaluation: Evaluation) -> str:
    """The title; says that the data is synthetic even where the title forgot."""
    missing = evaluation.synthetic and "SYNTHETIC" not in evaluation.title
    return f"SYNTHETIC DATA. {evaluation.title}" if missing else evaluation.title


def new_figure(evaluation: Evaluation, name: str, width: float, height: float) -> Figure:
    """An empty figure that says what data it is of.

    Args:
        evaluation: Whose figure it is.
        name: What it shows; read aloud instead of it.
        width: Inches.
        height: Inches.
    """
    figure = Figure(figsize=(width, height))
    figure.set_label(name)
    room = int(width * 13)  # of the widest letters
    color, weight = (ORANGE, "bold") if evaluation.synthetic else (MUTED, "normal")
    top = 1 - 0.08 / height
    title = shortened(evaluation_title(evaluation), room)
    figure.text(0.08 / width, top, title, color=color, weight=weight, ha="left", va="top", fontsize=8)
    figure.text(0.08 / width, top - 0.16 / height, NOT_FOR_CLINICAL_USE, color=MUTED, ha="left", va="top", fontsize=7.5)
    return figure
