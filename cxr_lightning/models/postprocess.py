"""Post-processing, fitted on validation images and applied to others: calibration and operating points."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.calibration import CalibrationMethod, Calibrator, fit_calibrator
from cxr_lightning.metrics.operating_points import ThresholdRule, select_threshold
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.json_values import nan_to_null, null_to_nan
from cxr_lightning.utils.validation import check_choice


@dataclass(frozen=True)
class PostProcessing:
    """Calibration and thresholds of each label.

    Attributes:
        source: Description of the images of the fit.
        calibrators: Calibrators by label.
        thresholds: Thresholds by label and operating point, on raw probabilities; NaN where undefined.
        positives: Number of images with the finding among those of the fit, by label.
    """

    source: str
    calibrators: Mapping[str, Calibrator]
    thresholds: Mapping[str, Mapping[str, float]]
    positives: Mapping[str, int]

    @property
    def operating_points(self) -> list[str]:
        """Names of all operating points, sorted."""
        return sorted({name for points in self.thresholds.values() for name in points})

    def calibrate(self, labels: Sequence[str], probabilities: FloatArray) -> FloatArray:
        """Calibrated probabilities, ``(N, C)``; raw ones of a label without a calibrator.

        Args:
            labels: C names.
            probabilities: Raw, ``(N, C)``.
        """
        columns = [
            self.calibrators.get(label, Calibrator())(column)
            for label, column in zip(labels, probabilities.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def select_operating_points(self, names: Sequence[str]) -> "PostProcessing":
        """The same post-processing with some of its operating points, in this order.

        Raises:
            ValueError: If a name is not among them.
        """
        if absent := [name for name in names if name not in self.operating_points]:
            raise ValueError(
                f"Expected `operating_points` among those stored in the checkpoint, {self.operating_points}, but got "
                f"{absent}, and the data has no validation images to find them on. Leave them out."
            )
        points = {
            label: {name: thresholds[name] for name in names if name in thresholds}
            for label, thresholds in self.thresholds.items()
        }
        return replace(self, thresholds=points)

    def to_metadata(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "source": self.source,
            "calibration": {label: asdict(calibrator) for label, calibrator in self.calibrators.items()},
            "operating_points": {
                label: {rule: nan_to_null(value) for rule, value in points.items()}
                for label, points in self.thresholds.items()
            },
            "positives": dict(self.positives),
        }


def fit_postprocessing(
    labels: Sequence[str],
    probabilities: FloatArray,
    targets: FloatArray,
    patient_ids: NDArray[np.object_],
    rules: Sequence[ThresholdRule],
    *,
    seed: int,
    source: str,
) -> PostProcessing:
    """Fit calibration and thresholds on images that are not evaluated.

    Args:
        labels: C names.
        probabilities: Raw probabilities of validation images, ``(N, C)``.
        targets: ``(N, C)``; 1 present, 0 absent, NaN unknown.
        patient_ids: ``(N,)``.
        rules: How thresholds are chosen.
        seed: Seed of the folds of the cross-validation.
        source: Description of the images.
    """
    columns = list(zip(labels, probabilities.T, targets.T, strict=True))
    return PostProcessing(
        source,
        {label: fit_calibrator(scores, truth, patient_ids, seed) for label, scores, truth in columns},
        {
            label: {rule.name: select_threshold(rule, scores, truth) for rule in rules}
            for label, scores, truth in columns
        },
        {label: int((truth == 1).sum()) for label, _, truth in columns},
    )


def read_postprocessing(metadata: Mapping[str, Any]) -> PostProcessing:
    """The inverse of :meth:`PostProcessing.to_metadata`.

    Raises:
        ValueError: If values are missing or invalid, as of a later version.
    """
    try:
        return PostProcessing(
            str(metadata["source"]),
            {label: _calibrator(**values) for label, values in metadata["calibration"].items()},
            {
                label: {rule: null_to_nan(value) for rule, value in points.items()}
                for label, points in metadata["operating_points"].items()
            },
            {label: int(number) for label, number in metadata["positives"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            "Expected calibration and operating points of this version in the checkpoint but they cannot be read "
            f"({type(error).__name__}: {error}). Give data with validation images, so that they are fitted anew."
        ) from error


def _calibrator(method: CalibrationMethod, slope: float, intercept: float, reason: str = "") -> Calibrator:
    return Calibrator(check_choice("method", method, CalibrationMethod), float(slope), float(intercept), str(reason))
