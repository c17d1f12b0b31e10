"""Each finding's ROC curve, precision-recall curve and reliability diagram."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cxr_lightning.evaluation.results import Curve, Evaluation, LabelResult
from cxr_lightning.metrics.calibration import ReliabilityCurve
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.report.panels import frame, small_multiples
from cxr_lightning.report.tables import interval, number
from cxr_lightning.report.theme import BLUE, MUTED, ORANGE, PAPER, shortened

_STEPS = 400  # points nearer than this part of an axis are drawn as one
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # a rare finding's probabilities are all near 0
_RAW: dict[str, Any] = {"color": ORANGE, "marker": "o", "markersize": 4, "markerfacecolor": PAPER, "linewidth": 1}
_CALIBRATED: dict[str, Any] = {"color": BLUE, "marker": "s", "markersize": 3.4, "linewidth": 1}
_DASHED: dict[str, Any] = {"color": MUTED, "linestyle": "--", "linewidth": 0.8}


def roc(evaluation: Evaluation) -> Figure:
    """ROC curve of each finding with its operating points."""
    marks = _marks(evaluation)

    def draw(axes: Axes, result: LabelResult) -> None:
        frame(axes, result, f"AUROC {interval(result.auroc)}", defined=len(result.roc.x) > 0)
        axes.plot([0, 1], [0, 1], **_DASHED)
        axes.plot(*thinned(result.roc), color=BLUE, linewidth=1.3)
        for point in result.operating_points or ():
            axes.plot([1 - point.specificity.value], [point.sensitivity.value], **marks[point.name])

    return small_multiples(
        evaluation,
        draw,
        name="ROC curves",
        x="false positive rate (1 - specificity)",
        y="sensitivity",
        legend=_legend("chance", marks),
    )


def precision_recall(evaluation: Evaluation) -> Figure:
    """Precision-recall curve of each finding with its operating points."""
    marks = _marks(evaluation)

    def draw(axes: Axes, result: LabelResult) -> None:
        defined = len(result.precision_recall.x) > 0
        frame(axes, result, f"AP {interval(result.average_precision)}", defined=defined)
        axes.axhline(result.prevalence, **_DASHED)
        x, y = thinned(result.precision_recall)
        axes.plot(x, y, color=BLUE, linewidth=1.3, drawstyle="steps-pre")  # average precision is an area of steps
        for point in result.operating_points or ():
            if point.at:
                axes.plot([point.sensitivity.value], [point.at[0].ppv], **marks[point.name])

    return small_multiples(
        evaluation,
        draw,
        name="Precision-recall curves",
        x="recall (sensitivity)",
        y="precision (PPV)",
        legend=_legend("chance (prevalence)", marks),
    )


def reliability(evaluation: Evaluation) -> Figure:
    """Reliability diagram of each finding, raw and calibrated; each on its own scale."""

    def draw(axes: Axes, result: LabelResult) -> None:
        raw, calibrated = result.reliability, result.calibration
        after = f", calibrated {number(calibrated.ece)}" if calibrated else ""
        diagrams = (raw, calibrated.reliability) if calibrated else (raw,)
        heading = f"ECE {number(result.ece)}{after}"
        frame(axes, result, heading, defined=len(raw.predicted) > 0, limit=_limit(*diagrams))
        axes.plot([0, 1], [0, 1], **_DASHED)
        axes.plot(raw.predicted, raw.observed, **_RAW)
        if calibrated:
            axes.plot(calibrated.reliability.predicted, calibrated.reliability.observed, **_CALIBRATED)

    legend = [Line2D([], [], label="perfect", **_DASHED), Line2D([], [], label="raw", **_RAW)]
    if any(result.calibration for result in evaluation.labels):
        legend.append(Line2D([], [], label="calibrated", **_CALIBRATED))
    return small_multiples(
        evaluation,
        draw,
        name="Reliability diagrams",
        x="mean predicted probability",
        y="share of positives",
        legend=legend,
    )


def thinned(curve: Curve) -> tuple[FloatArray, FloatArray]:
    """A curve's points without those that could not be told apart when drawn; the ends stay.

    Example:
        >>> thinned(Curve(np.array([0, 0.5, 0.50001, 1]), np.array([0, 1, 1, 1.0])))[0]
        array([0. , 0.5, 1. ])
    """
    cells = np.round(np.stack([curve.x, curve.y]) * _STEPS)
    kept = np.ones(len(curve.x), dtype=bool)
    kept[1:-1] = (cells[:, 1:] != cells[:, :-1]).any(axis=0)[:-1]
    return curve.x[kept], curve.y[kept]


def _limit(*diagrams: ReliabilityCurve) -> float:
    """The round number above all points."""
    highest = max(
        (float(points.max()) for d in diagrams for points in (d.predicted, d.observed) if len(points)), default=1
    )
    return next((limit for limit in _LIMITS if highest <= limit), 1.0)


def _marks(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """The look of each rule's marks."""
    names = dict.fromkeys(point.name for result in evaluation.labels for point in result.operating_points or ())
    look = {"color": ORANGE, "markersize": 4.5, "markeredgecolor": PAPER, "markeredgewidth": 0.6, "linestyle": ""}
    return {name: {**look, "marker": _MARKS[place % len(_MARKS)]} for place, name in enumerate(names)}


def _legend(dashed: str, marks: Mapping[str, Mapping[str, Any]]) -> list[Line2D]:
    rules = [Line2D([], [], label=shortened(name, 20), **look) for name, look in marks.items()]
    return [Line2D([], [], label=dashed, **_DASHED), *rules]
