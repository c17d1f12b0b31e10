"""The report's page: one HTML file that needs nothing else."""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cxr_lightning.evaluation.results import Evaluation, LabelResult
from cxr_lightning.explain.explanation import Explanation, Overlay
from cxr_lightning.metrics.resampling import CONFIDENCE_LEVEL
from cxr_lightning.report.captions import description, facts
from cxr_lightning.report.metrics_file import published_beside
from cxr_lightning.report.metrics_table import operating_point, rule_names
from cxr_lightning.report.plain_values import plain
from cxr_lightning.report.tables import NOT_FOR_CLINICAL_USE, interval, number, signed
from cxr_lightning.report.theme import evaluation_title

_VERDICTS = {
    True: "Comparable with official-split results",
    False: "Not comparable with official-split results",
    None: "Unknown whether comparable with official-split results",
}
_MET = {True: "met", False: "not met", None: "unknown"}


def render_html(
    evaluation: Evaluation,
    figures: Mapping[str, str],
    explanation: Explanation | None = None,
    pictures: Sequence[bytes] = (),
) -> str:
    """The page.

    Args:
        evaluation: To show.
        figures: Drawings from :func:`cxr_lightning.report.drawing.to_svg` by name: ``auroc``, ``roc``,
            ``precision_recall``, ``reliability`` and ``subgroups``.
        explanation: Heat maps; without them the page has no such section.
        pictures: PNG files of the explanation's gallery, in its order.
    """
    script = _text("sort.js")
    localisation = explanation.localisation if explanation else ()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            title=evaluation_title(evaluation),
            figures={name: Markup(drawing) for name, drawing in figures.items()},
            style=Markup(_text("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            notice=NOT_FOR_CLINICAL_USE,
            level=f"{CONFIDENCE_LEVEL * 100:.0f} %",
            verdict=_VERDICTS[evaluation.protocol.comparable],
            ranked=_ranked(evaluation),
            rules=rule_names(evaluation),
            prevalences=_prevalences(evaluation),
            published=published_beside(evaluation),
            explanation=explanation,
            gallery=_gallery(explanation.gallery if explanation else (), pictures),
            iou_thresholds=_thresholds(result.iou_accuracy for result in localisation),
            iobb_thresholds=_thresholds(result.iobb_accuracy for result in localisation),
            model=plain(evaluation.model),
            settings=plain(evaluation.settings),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cxr_lightning.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "interval": interval,
        "percent": percent,
        "threshold": threshold,
        "count": lambda value: f"{value:,}",
        "key": lambda value: "" if math.isnan(value) else repr(float(value)),
        "description": description,
        "facts": facts,
        "met": _MET.__getitem__,
    }
    environment.globals |= {"operating_point": operating_point, "nan": math.nan}
    environment.tests["mapping_value"] = lambda value: isinstance(value, Mapping)
    environment.tests["list_value"] = lambda value: isinstance(value, list)
    environment.tests["undefined_number"] = math.isnan
    return environment


def percent(value: float) -> str:
    """A share in percent with three digits; ``n/a`` where it is not defined.

    Example:
        >>> percent(0.0256), percent(0.5), percent(float("nan"))
        ('2.56 %', '50 %', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{100 * value:.3g} %"


def threshold(value: float) -> str:
    """A threshold with four digits that count; ``n/a`` where it is not defined.

    Example:
        >>> threshold(0.03125), threshold(0.00001234)
        ('0.03125', '1.234e-05')
    """
    return "n/a" if math.isnan(value) else f"{value:.4g}"


def _ranked(evaluation: Evaluation) -> list[LabelResult]:
    """Findings with an AUROC, best first."""
    defined = [result for result in evaluation.labels if not math.isnan(result.auroc.value)]
    return sorted(defined, key=lambda result: -result.auroc.value)


def _prevalences(evaluation: Evaluation) -> tuple[float, ...]:
    """Those that were asked for, beside each finding's own."""
    points = (point for result in evaluation.labels for point in result.operating_points or ())
    return tuple(dict.fromkeys(at.prevalence for point in points for at in point.at[1:]))


def _gallery(gallery: Sequence[Overlay], pictures: Sequence[bytes]) -> dict[str, list[tuple[Overlay, str]]]:
    """Overlays and their pictures as addresses, by finding."""
    grouped: dict[str, list[tuple[Overlay, str]]] = {}
    for overlay, picture in zip(gallery, pictures, strict=True):
        source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        grouped.setdefault(overlay.label, []).append((overlay, source))
    return grouped


def _thresholds(accuracies: Iterable[Mapping[float, float]]) -> list[float]:
    return sorted({value for accuracy in accuracies for value in accuracy})


def _text(name: str) -> str:
    return files("cxr_lightning.report").joinpath("page", name).read_text(encoding="utf-8")
