"""ROC curves, precision-recall curves and reliability diagrams, one panel per finding."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cxr_lightning.evaluation.label_result import Curve, LabelResult
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.calibration import ReliabilityCurve
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.report.formats import format_estimate, format_number
from cxr_lightning.report.small_multiples import format_panel, small_multiples
from cxr_lightning.report.theme import BLUE, MUTED, ORANGE, PAPER
from cxr_lightning.utils.plain_text import shorten

_CELLS = 400  # cells per axis; consecutive points in the same cell are drawn once
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_AXIS_LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # a rare finding's probabilities are all near 0
_RAW: dict[str, Any] = {"color": ORANGE, "marker": "o", "markersize": 4, "markerfacecolor": PAPER, "linewidth": 1}
_CALIBRATED: dict[str, Any] = {"color": BLUE, "marker": "s", "markersize": 3.4, "linewidth": 1}
_DASHED: dict[str, Any] = {"color": MUTED, "linestyle": "--", "linewidth": 0.8}


def draw_roc(evaluation: Evaluation) -> Figure:
    """Draw the ROC curve of each finding with its operating points."""
    styles = _marker_styles(evaluation)

    def draw(axes: Axes, result: LabelResult) -> None:
        format_panel(axes, result, f"AUROC {format_estimate(result.auroc)}", defined=len(result.roc.x) > 0)
        axes.plot([0, 1], [0, 1], **_DASHED)
        axes.plot(*thin_curve(result.roc), color=BLUE, linewidth=1.3)
        for point in result.operating_points or ():
            axes.plot([1 - point.specificity.value], [point.sensitivity.value], **styles[point.name])

    return small_multiples(
        evaluation,
        draw,
        name="ROC curves",
        x="false positive rate (1 - specificity)",
        y="sensitivity",
        legend=_legend("chance", styles),
    )


def draw_precision_recall(evaluation: Evaluation) -> Figure:
    """Draw the precision-recall curve of each finding with its operating points."""
    styles = _marker_styles(evaluation)

    def draw(axes: Axes, result: LabelResult) -> None:
        defined = len(result.precision_recall.x) > 0
        format_panel(axes, result, f"AP {format_estimate(result.average_precision)}", defined=defined)
        axes.axhline(result.prevalence, **_DASHED)
        x, y = thin_curve(result.precision_recall)
        axes.plot(x, y, color=BLUE, linewidth=1.3, drawstyle="steps-pre")  # average precision is an area of steps
        for point in result.operating_points or ():
            if point.at:
                axes.plot([point.sensitivity.value], [point.at[0].ppv], **styles[point.name])

    return small_multiples(
        evaluation,
        draw,
        name="Precision-recall curves",
        x="recall (sensitivity)",
        y="precision (PPV)",
        legend=_legend("chance (prevalence)", styles),
    )


def draw_reliability(evaluation: Evaluation) -> Figure:
    """Draw the reliability diagram of each finding, raw and calibrated, each on its own scale."""

    def draw(axes: Axes, result: LabelResult) -> None:
        raw, calibrated = result.reliability, result.calibration
        calibrated_ece = f", calibrated {format_number(calibrated.ece)}" if calibrated else ""
        curves = (raw, calibrated.reliability) if calibrated else (raw,)
        heading = f"ECE {format_number(result.ece)}{calibrated_ece}"
        format_panel(axes, result, heading, defined=len(raw.predicted) > 0, limit=_axis_limit(*curves))
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
        y="fraction of positives",
        legend=legend,
    )


def thin_curve(curve: Curve) -> tuple[FloatArray, FloatArray]:
    """Drop points of a curve that would be drawn at the same place as the point before; both ends stay.

    Example:
        >>> thin_curve(Curve(np.array([0, 0.5, 0.50001, 1]), np.array([0, 1, 1, 1.0])))[0]
        array([0. , 0.5, 1. ])
    """
    cells = np.round(np.stack([curve.x, curve.y]) * _CELLS)
    kept = np.ones(len(curve.x), dtype=bool)
    kept[1:-1] = (cells[:, 1:] != cells[:, :-1]).any(axis=0)[:-1]
    return curve.x[kept], curve.y[kept]


def _axis_limit(*curves: ReliabilityCurve) -> float:
    """Upper limit of both axes: the smallest round number above all points."""
    highest = max(
        (float(points.max()) for curve in curves for points in (curve.predicted, curve.observed) if len(points)),
        default=1,
    )
    return next((limit for limit in _AXIS_LIMITS if highest <= limit), 1.0)


def _marker_styles(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Marker style of each operating point, by its name."""
    names = dict.fromkeys(point.name for result in evaluation.labels for point in result.operating_points or ())
    common = {"color": ORANGE, "markersize": 4.5, "markeredgecolor": PAPER, "markeredgewidth": 0.6, "linestyle": ""}
    return {name: {**common, "marker": _MARKERS[number % len(_MARKERS)]} for number, name in enumerate(names)}


def _legend(baseline: str, styles: Mapping[str, Mapping[str, Any]]) -> list[Line2D]:
    points = [Line2D([], [], label=shorten(name, 20), **style) for name, style in styles.items()]
    return [Line2D([], [], label=baseline, **_DASHED), *points]
