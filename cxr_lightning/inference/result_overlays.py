"""Heat maps of a result, and of which findings they are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.inference.backend import Backend
from cxr_lightning.inference.result_html import overlays_html
from cxr_lightning.inference.results import Result
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.models.untrained import untrained_among

MAX_HEATMAPS = 3
"""Maximum number of findings that are chosen by a result."""


class Overlays(tuple[Overlay, ...]):
    """The heat maps of one image, one per finding; in a notebook they show themselves."""

    def _repr_html_(self) -> str:
        return overlays_html(self)


def check_findings(labels: Sequence[str] | None, known: Sequence[str], metadata: Mapping[str, Any]) -> None:
    """Refuse findings that a model does not know or was not trained on.

    Args:
        labels: The requested findings; None if they are chosen by the result.
        known: The model's findings.
        metadata: The model's metadata.

    Raises:
        ValueError: If there is such a finding, or none at all.
    """
    if labels is None:
        return
    if isinstance(labels, str) or not labels:
        raise ValueError(
            f"Expected a list of findings but got {labels!r}. Give some of {list(known)}, or leave it out."
        )
    if unknown := [label for label in labels if label not in known]:
        raise ValueError(f"Expected findings among the model's, {list(known)}, but got {unknown}. Correct the names.")
    if untrained := untrained_among(labels, metadata):
        raise ValueError(
            f"Expected findings that the model was trained on but got {untrained}, of which its training images had no "
            "positives or no negatives. Leave them out."
        )


def shown_findings(result: Result) -> list[str]:
    """The findings whose heat maps are shown: the first that reach their operating points, or the most probable one."""
    highest = () if result.most_probable is None else (result.most_probable,)
    return [finding.label for finding in (result.above or highest)[:MAX_HEATMAPS]]


def explain_result(
    backend: Backend, result: Result, labels: Sequence[str] | None = None, target_layer: TargetLayer = "post_relu"
) -> Overlays:
    """Compute the heat maps of a result.

    Args:
        backend: The backend that computed the result.
        result: A result that keeps its image.
        labels: Findings that were checked; None to choose them by the result.
        target_layer: Layer of the network whose maps are used.

    Raises:
        ValueError: If the model has no heat maps.
    """
    assert result.image is not None
    chosen = list(shown_findings(result) if labels is None else labels)
    columns = [backend.labels.index(label) for label in chosen]
    maps = backend.heatmaps(result.image[None], columns, target_layer)[0]
    name = result.path.name if result.path else result.name
    return Overlays(
        Overlay(
            name,
            label,
            REQUESTED,
            result.image,
            heatmap,
            result.probabilities[label],
            math.nan,
            synthetic=result.synthetic,
        )
        for label, heatmap in zip(chosen, maps, strict=True)
    )
