"""Style of all figures: colors, small type, and labels that are never parsed as mathematics."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.wording import evaluation_title
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import shorten

INK, MUTED, RULE, PAPER = "#1b1f24", "#5c6570", "#d3d8de", "#ffffff"
BLUE, ORANGE = "#1f5fa8", "#c8501e"
WIDTH = 10.0
"""Width of the widest figure, in inches."""

_RC: dict[Any, Any] = {
    "text.parse_math": False,  # a finding may be named `$\frac{`
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
def matplotlib_defaults() -> Iterator[None]:
    """Apply matplotlib's defaults: a ``matplotlibrc`` in the current folder would have texts set by a program."""
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style's matplotlib settings, both to make a figure and to save it: ticks are made when it is drawn.

    They are added to matplotlib's defaults.
    """
    with matplotlib_defaults(), warnings.catch_warnings():
        mpl.rcParams.update(_RC)
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in another script; in SVG it stays text
        yield


def new_figure(evaluation: Evaluation, name: str, width: float, height: float) -> Figure:
    """An empty figure whose title names the data.

    Args:
        evaluation: The evaluation that the figure shows.
        name: Title for screen readers.
        width: Width in inches.
        height: Height in inches.
    """
    figure = Figure(figsize=(width, height))
    figure.set_label(name)
    max_length = int(width * 13)  # 13 of the widest letters per inch
    color, weight = (ORANGE, "bold") if evaluation.synthetic else (MUTED, "normal")
    top = 1 - 0.08 / height
    title = shorten(evaluation_title(evaluation), max_length)
    figure.text(0.08 / width, top, title, color=color, weight=weight, ha="left", va="top", fontsize=8)
    figure.text(0.08 / width, top - 0.16 / height, NOT_FOR_CLINICAL_USE, color=MUTED, ha="left", va="top", fontsize=7.5)
    return figure
