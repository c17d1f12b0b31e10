"""The part of metrics.json about heat maps."""

from collections.abc import Mapping

from cxr_lightning.explain.results import Explanation, LocalizationResult, Overlay, SanityResult
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.report.captions import GRADCAM_FOLDER, gallery_description, gradcam_method, overlay_file_names
from cxr_lightning.report.explanation_model import ExplanationJson, LocalizationJson, OverlayJson, SanityJson
from cxr_lightning.report.json_model import DifferenceJson, EstimateJson


def explanation_json(explanation: Explanation) -> ExplanationJson:
    """Method, localization scores, sanity checks and files of the heat maps."""
    gallery = zip(explanation.gallery, overlay_file_names(explanation.gallery), strict=True)
    return ExplanationJson(
        method=gradcam_method(explanation),
        chosen=gallery_description(explanation),
        localisation=tuple(_localization(result) for result in explanation.localization),
        sanity=None if explanation.sanity is None else _sanity(explanation.sanity),
        gallery=tuple(_overlay(overlay, name) for overlay, name in gallery),
    )


def estimate_json(estimate: Estimate) -> EstimateJson:
    """An estimate of a number in [0, 1]."""
    return EstimateJson(value=estimate.value, low=estimate.low, high=estimate.high)


def _difference(estimate: Estimate) -> DifferenceJson:
    return DifferenceJson(value=estimate.value, low=estimate.low, high=estimate.high)


def _localization(result: LocalizationResult) -> LocalizationJson:
    return LocalizationJson(
        label=result.label,
        images=result.images,
        hit_rate=estimate_json(result.hit_rate),
        best_hit_rate=result.best_hit_rate,
        random_hit_rate=estimate_json(result.random_hit_rate),
        centre_hit_rate=estimate_json(result.center_hit_rate),
        over_random=_difference(result.over_random),
        over_centre=_difference(result.over_center),
        iou=estimate_json(result.iou),
        best_iou=result.best_iou,
        iou_accuracy=_by_threshold(result.iou_accuracy),
        iobb_accuracy=_by_threshold(result.iobb_accuracy),
        empty=result.empty,
    )


def _by_threshold(fractions: Mapping[float, float]) -> dict[str, float | None]:
    """Convert the thresholds to the strings that JSON requires as keys."""
    return {str(threshold): fraction for threshold, fraction in fractions.items()}


def _sanity(result: SanityResult) -> SanityJson:
    return SanityJson(
        images=result.images,
        similarity=dict(result.similarity),
        deletion=result.deletion,
        random_deletion=result.random_deletion,
        insertion=result.insertion,
        random_insertion=result.random_insertion,
    )


def _overlay(overlay: Overlay, file_name: str) -> OverlayJson:
    return OverlayJson(
        image_id=overlay.image_id,
        label=overlay.label,
        kind=overlay.kind,
        probability=overlay.probability,
        target=overlay.target,
        file=f"{GRADCAM_FOLDER}/{file_name}",
        empty=overlay.empty,
    )
