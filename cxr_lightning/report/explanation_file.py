"""What metrics.json holds of heat maps."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cxr_lightning.explain.explanation import Explanation, Localisation, Overlay, Sanity
from cxr_lightning.metrics.resampling import Estimate
from cxr_lightning.report.captions import FOLDER, picture_names
from cxr_lightning.report.plain_values import plain, plain_estimate, plain_number


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Plain values: what was done, localisation, sanity, and the pictures' files.

    Args:
        explanation: To write.
    """
    gallery = zip(explanation.gallery, picture_names(explanation.gallery), strict=True)
    return {
        "method": explanation.method,
        "chosen": explanation.chosen,
        "localisation": [_plain_fields(result) for result in explanation.localisation],
        "sanity": None if explanation.sanity is None else _plain_fields(explanation.sanity),
        "gallery": [_picture(overlay, name) for overlay, name in gallery],
    }


def _plain_fields(result: Localisation | Sanity) -> dict[str, Any]:
    """By the names of the dataclass; numbers by threshold or stage get text as keys."""
    return {field.name: _plain_field(getattr(result, field.name)) for field in fields(result)}


def _plain_field(value: object) -> object:
    if isinstance(value, Estimate):
        return plain_estimate(value)
    if isinstance(value, Mapping):
        return {str(key): plain_number(inner) for key, inner in value.items()}
    return plain(value)


def _picture(overlay: Overlay, name: str) -> dict[str, Any]:
    return {
        "image_id": overlay.image_id,
        "label": overlay.label,
        "kind": overlay.kind,
        "probability": plain_number(overlay.probability),
        "target": plain_number(overlay.target),
        "file": f"{FOLDER}/{name}",
        "empty": overlay.empty,
    }
