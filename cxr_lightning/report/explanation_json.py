"""The part of metrics.json about heat maps."""

from collections.abc import Mapping
from typing import Any

from cxr_lightning.explain.results import Explanation, LocalizationResult, Overlay, SanityResult
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.report.captions import GRADCAM_FOLDER, gallery_description, gradcam_method, overlay_file_names
from cxr_lightning.utils.json_values import nan_to_null


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Method, localization scores, sanity checks and files of the heat maps, as plain values."""
    gallery = zip(explanation.gallery, overlay_file_names(explanation.gallery), strict=True)
    return {
        "method": gradcam_method(explanation),
        "chosen": gallery_description(explanation),
        "localisation": [_localization(result) for result in explanation.localization],
        "sanity": None if explanation.sanity is None else _sanity(explanation.sanity),
        "gallery": [_overlay(overlay, name) for overlay, name in gallery],
    }


def estimate_json(estimate: Estimate) -> dict[str, float | None]:
    """An estimate as plain values: the number and the ends of its interval."""
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: nan_to_null(value) for name, value in ends.items()}


def _localization(result: LocalizationResult) -> dict[str, Any]:
    return {
        "label": result.label,
        "images": result.images,
        "hit_rate": estimate_json(result.hit_rate),
        "best_hit_rate": nan_to_null(result.best_hit_rate),
        "random_hit_rate": estimate_json(result.random_hit_rate),
        "centre_hit_rate": estimate_json(result.center_hit_rate),
        "over_random": estimate_json(result.over_random),
        "over_centre": estimate_json(result.over_center),
        "iou": estimate_json(result.iou),
        "best_iou": nan_to_null(result.best_iou),
        "iou_accuracy": _with_text_keys(result.iou_accuracy),
        "iobb_accuracy": _with_text_keys(result.iobb_accuracy),
        "empty": result.empty,
    }


def _sanity(result: SanityResult) -> dict[str, Any]:
    return {
        "images": result.images,
        "similarity": _with_text_keys(result.similarity),
        "deletion": nan_to_null(result.deletion),
        "random_deletion": nan_to_null(result.random_deletion),
        "insertion": nan_to_null(result.insertion),
        "random_insertion": nan_to_null(result.random_insertion),
    }


def _with_text_keys(numbers: Mapping[Any, float]) -> dict[str, float | None]:
    """Convert the keys, thresholds or stages, to the strings that JSON requires."""
    return {str(key): nan_to_null(value) for key, value in numbers.items()}


def _overlay(overlay: Overlay, file_name: str) -> dict[str, Any]:
    return {
        "image_id": overlay.image_id,
        "label": overlay.label,
        "kind": overlay.kind,
        "probability": nan_to_null(overlay.probability),
        "target": nan_to_null(overlay.target),
        "file": f"{GRADCAM_FOLDER}/{file_name}",
        "empty": overlay.empty,
    }
