"""The report as one HTML file that loads nothing else."""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cxr_lightning.evaluation.label_result import LabelResult
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.explain.results import Explanation, Overlay
from cxr_lightning.metrics.bootstrap import CONFIDENCE_LEVEL
from cxr_lightning.metrics.ranking import top_labels
from cxr_lightning.report.captions import alternative_text, gallery_description, gradcam_method, overlay_facts
from cxr_lightning.report.evaluation_protocol import comparability_reasons, protocol_facts
from cxr_lightning.report.formats import (
    format_estimate,
    format_metric,
    format_number,
    format_percent,
    format_signed,
    format_threshold,
)
from cxr_lightning.report.metrics_csv import operating_point, rule_names
from cxr_lightning.report.metrics_json import comparable_published_results, settings_json
from cxr_lightning.report.wording import CRITERIA, evaluation_title, sentence
from cxr_lightning.utils.html_text import png_url
from cxr_lightning.utils.json_values import to_json
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import visible

_VERDICTS = {
    True: "Comparable with official-split results",
    False: "Not comparable with official-split results",
    None: "Unknown whether comparable with official-split results",
}
_CRITERION_STATES = {True: "met", False: "not met", None: "unknown"}


def render_html(
    evaluation: Evaluation,
    figures: Mapping[str, str],
    explanation: Explanation | None = None,
    overlay_pngs: Sequence[bytes] = (),
) -> str:
    """Render the report as an HTML page.

    Args:
        evaluation: The evaluation to show.
        figures: SVG figures from :func:`cxr_lightning.report.figure_export.to_svg` by name: ``auroc``, ``roc``,
            ``precision_recall``, ``reliability`` and ``subgroups``.
        explanation: Heat maps; None omits their section.
        overlay_pngs: PNG files of the explanation's gallery, in its order.
    """
    script = _read_page_file("sort.js")
    localization = explanation.localization if explanation else ()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            title=evaluation_title(evaluation),
            figures={name: Markup(svg) for name, svg in figures.items()},
            style=Markup(_read_page_file("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            notice=NOT_FOR_CLINICAL_USE,
            level=f"{CONFIDENCE_LEVEL * 100:.0f} %",
            verdict=_VERDICTS[evaluation.comparability.comparable],
            facts=protocol_facts(evaluation),
            reasons=comparability_reasons(evaluation),
            ranked=_ranked_results(evaluation),
            rules=rule_names(evaluation),
            prevalences=_requested_prevalences(evaluation),
            published=comparable_published_results(evaluation),
            explanation=explanation,
            gallery=_overlays_by_label(explanation.gallery if explanation else (), overlay_pngs),
            iou_thresholds=_thresholds(result.iou_accuracy for result in localization),
            iobb_thresholds=_thresholds(result.iobb_accuracy for result in localization),
            model=to_json(evaluation.model),
            settings=settings_json(evaluation),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cxr_lightning.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": format_number,
        "signed": format_signed,
        "interval": format_estimate,
        "metric": lambda value, metric: format_metric(metric, value),
        "percent": format_percent,
        "threshold": format_threshold,
        "count": lambda value: f"{value:,}",
        "key": lambda value: "" if math.isnan(value) else repr(float(value)),
        "alternative_text": alternative_text,
        "facts": overlay_facts,
        "sentence": sentence,
        "criterion": CRITERIA.__getitem__,
        "method": gradcam_method,
        "chosen": gallery_description,
        "met": _CRITERION_STATES.__getitem__,
    }
    environment.globals |= {"operating_point": operating_point, "nan": math.nan}
    environment.tests["mapping_value"] = lambda value: isinstance(value, Mapping)
    environment.tests["list_value"] = lambda value: isinstance(value, list)
    environment.tests["undefined_number"] = math.isnan
    return environment


def _visible_value(value: object) -> object:
    """A value as the page shows it: text without hidden characters, finished parts of the page as they are."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _ranked_results(evaluation: Evaluation) -> list[LabelResult]:
    """Results of the findings with a defined AUROC, best first."""
    results = {result.label: result for result in evaluation.labels}
    return [results[label] for label in top_labels({name: result.auroc.value for name, result in results.items()})]


def _requested_prevalences(evaluation: Evaluation) -> tuple[float, ...]:
    """The prevalences requested in addition to each finding's prevalence in the evaluated images."""
    points = (point for result in evaluation.labels for point in result.operating_points or ())
    return tuple(dict.fromkeys(at.prevalence for point in points for at in point.at[1:]))


def _overlays_by_label(gallery: Sequence[Overlay], pngs: Sequence[bytes]) -> dict[str, list[tuple[Overlay, str]]]:
    """Overlays with their PNG files as data URLs, by finding."""
    grouped: dict[str, list[tuple[Overlay, str]]] = {}
    for overlay, png in zip(gallery, pngs, strict=True):
        grouped.setdefault(overlay.label, []).append((overlay, png_url(png)))
    return grouped


def _thresholds(accuracies: Iterable[Mapping[float, float]]) -> list[float]:
    return sorted({value for accuracy in accuracies for value in accuracy})


def _read_page_file(name: str) -> str:
    return files("cxr_lightning.report").joinpath("page", name).read_text(encoding="utf-8")
