"""Heat maps of a result: of which findings, and by which backend."""

from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.inference.backend import Backend
from cxr_lightning.inference.result_html import overlays_html
from cxr_lightning.inference.results import Result
from cxr_lightning.models.untrained import untrained_among

MAX_HEATMAPS = 3
"""Maximum number of findings that are chosen by a result."""
_EXPLAIN_IMAGE = "cxr_lightning.explain.heatmaps:explain_image"
"""Grad-CAM in torch, with captum, which is slow to import."""


class Overlays(tuple[Overlay, ...]):
    """The heat maps of one image, one per finding; in a notebook they show themselves.

    Attributes:
        synthetic: Whether the model was trained on synthetic images.
    """

    synthetic = False

    def _repr_html_(self) -> str:
        return overlays_html(self, synthetic=self.synthetic)


@runtime_checkable
class HeatmapBackend(Protocol):
    """A backend that computes heat maps itself."""

    def heatmaps(self, images: NDArray[np.uint8], columns: Sequence[int]) -> NDArray[np.float32]:
        """Heat maps of a batch.

        Args:
            images: ``(B, S, S)`` uint8.
            columns: Columns of the findings, L of them.

        Returns:
            ``(B, L, S, S)`` in [0, 1].
        """


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


def explain_result(backend: Backend, result: Result, labels: Sequence[str] | None = None) -> Overlays:
    """Compute the heat maps of a result.

    Args:
        backend: The backend that computed the result.
        result: A result that keeps its image.
        labels: Findings that were checked; None to choose them by the result.

    Raises:
        ValueError: If the backend has no heat maps.
    """
    assert result.image is not None
    chosen = list(shown_findings(result) if labels is None else labels)
    maps = _heatmaps(backend, result, chosen)
    overlays = Overlays(
        Overlay(result.name, label, REQUESTED, result.image, heatmap, result.probabilities[label], float("nan"))
        for label, heatmap in zip(chosen, maps, strict=True)
    )
    overlays.synthetic = result.synthetic
    return overlays


def _heatmaps(backend: Backend, result: Result, labels: Sequence[str]) -> Sequence[NDArray[np.float32]]:
    assert result.image is not None
    if isinstance(backend, HeatmapBackend):
        columns = [backend.labels.index(label) for label in labels]
        return list(backend.heatmaps(result.image[None], columns)[0])
    classifier = getattr(backend, "classifier", None)
    if classifier is None:
        raise ValueError(
            "Expected a model with heat maps but got an exported file without them. Give the checkpoint that it was "
            "exported from."
        )
    overlays = resolve_name(_EXPLAIN_IMAGE)(classifier.network, backend.labels, result.name, result.image, labels)
    return [overlay.heatmap for overlay in overlays]
