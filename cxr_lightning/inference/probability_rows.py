"""What a backend computes of images, calibrated and judged: one row of probabilities per image, and its findings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.inference.backend import Backend
from cxr_lightning.inference.results import Finding
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.postprocess import PostProcessing
from cxr_lightning.models.untrained import untrained_columns, without_untrained
from cxr_lightning.utils.json_values import null_to_nan

ProbabilityRow = tuple[FloatArray, FloatArray]
"""Raw and calibrated probabilities of one image, each ``(C,)``."""


def compute_rows(
    backend: Backend, postprocessing: PostProcessing | None, pixels: Sequence[NDArray[np.uint8]]
) -> list[ProbabilityRow]:
    """Compute raw and calibrated probabilities; NaN where the model was not trained, or carries no calibration.

    Args:
        backend: Computes them.
        postprocessing: Calibration that the model carries; None if it carries none.
        pixels: One or more images, each ``(S, S)``.

    Raises:
        ValueError: If the backend gives values that are not numbers.
    """
    raw, calibrated = backend.probabilities(np.stack(pixels))
    untrained = untrained_columns(backend.labels, backend.metadata)
    if not np.isfinite(np.delete(raw, untrained, axis=1)).all():
        raise ValueError(
            "Expected probabilities from the model but got values that are not numbers. Its weights are "
            "damaged, or the device computes wrongly. Run `cxr check`."
        )
    raw = without_untrained(raw, untrained)
    if postprocessing is None:
        calibrated = np.full_like(raw, math.nan)
    elif calibrated is None:
        calibrated = postprocessing.calibrate(backend.labels, raw)
    else:
        calibrated = without_untrained(calibrated, untrained)
    return list(zip(raw, calibrated, strict=True))


def judge_row(
    row: ProbabilityRow,
    labels: Sequence[str],
    metadata: Mapping[str, Any],
    postprocessing: PostProcessing | None,
    operating_point: str,
) -> tuple[Finding, ...]:
    """The findings of one image, with their thresholds and prevalences.

    Args:
        row: From :func:`compute_rows`.
        labels: The model's findings, in order.
        metadata: The model's metadata.
        postprocessing: Operating points that the model carries; None if it carries none.
        operating_point: Name of the operating point; empty if there is none.
    """
    prevalence = metadata.get("prevalence", {})
    thresholds = postprocessing.thresholds if postprocessing else {}
    return tuple(
        Finding(
            label,
            float(raw),
            float(calibrated),
            thresholds.get(label, {}).get(operating_point, math.nan),
            null_to_nan(prevalence.get(label)),
        )
        for label, raw, calibrated in zip(labels, *row, strict=True)
    )
