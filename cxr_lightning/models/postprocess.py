"""What is fitted on validation and only applied elsewhere: calibration and thresholds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.calibration import CalibrationMethod, Calibrator, fit_calibrator
from cxr_lightning.metrics.operating_points import ThresholdRule, select_threshold
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.validation import check_choice


@dataclass(frozen=True)
class Fitted:
    """Calibration and thresholds of each label.

    Attributes:
        source: What they were fitted on, in words.
        calibrators: By label.
        thresholds: By label and rule, on raw probabilities; NaN where undefined.
        positives: Images with the finding, by label, that they rest on.
    """

    source: str
    calibrators: Mapping[str, Calibrator]
    thresholds: Mapping[str, Mapping[str, float]]
    positives: Mapping[str, int]

    def calibrate(self, labels: Sequence[str], probabilities: FloatArray) -> FloatArray:
        """Calibrated probabilities, ``(N, C)``; raw ones of a label for which nothing was fitted.

        Args:
            labels: C names.
            probabilities: Raw, ``(N, C)``.
        """
        columns = [
            self.calibrators.get(label, Calibrator())(column)
            for label, column in zip(labels, probabilities.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def record(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "source": self.source,
            "calibration": {label: asdict(calibrator) for label, calibrator in self.calibrators.items()},
            "operating_points": {
                label: {rule: None if math.isnan(value) else value for rule, value in points.items()}
                for label, points in self.thresholds.items()
            },
            "positives": dict(self.positives),
        }


def fit(validation: Predictions, rules: Sequence[ThresholdRule], *, seed: int, source: str) -> Fitted:
    """Fit calibration and thresholds.

    Args:
        validation: Predictions of images that are not evaluated.
        rules: How thresholds are chosen.
        seed: Draws the folds of the cross-validation.
        source: What the images are, in words.
    """
    columns = list(zip(validation.labels, validation.probabilities.T, validation.targets.T, strict=True))
    return Fitted(
        source,
        {label: fit_calibrator(scores, truth, validation.patient_ids, seed) for label, scores, truth in columns},
        {
            label: {rule.name: select_threshold(rule, scores, truth) for rule in rules}
            for label, scores, truth in columns
        },
        {label: int((truth == 1).sum()) for label, _, truth in columns},
    )


def _calibrator(method: CalibrationMethod, slope: float, intercept: float, reason: str = "") -> Calibrator:
    return Calibrator(check_choice("method", method, CalibrationMethod), float(slope), float(intercept), str(reason))


def fitted_from_record(record: Mapping[str, Any]) -> Fitted:
    """The inverse of :meth:`Fitted.record`.

    Raises:
        ValueError: If the record is not one, or is of a later version.
    """
    try:
        return Fitted(
            str(record["source"]),
            {label: _calibrator(**values) for label, values in record["calibration"].items()},
            {
                label: {rule: math.nan if value is None else float(value) for rule, value in points.items()}
                for label, points in record["operating_points"].items()
            },
            {label: int(number) for label, number in record["positives"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            "Expected calibration and operating points of this version in the checkpoint but they cannot be read "
            f"({type(error).__name__}: {error}). Give data with validation images, so that they are fitted anew."
        ) from error
