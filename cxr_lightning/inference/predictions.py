"""Predictions of a set of images: probabilities, targets and patients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.data.manifest import preview, target_array
from cxr_lightning.metrics.ranking import FloatArray


@dataclass(frozen=True)
class Predictions:
    """Probabilities of images, with their targets and patients.

    Attributes:
        labels: Finding names, in column order.
        image_ids: ``(N,)`` text.
        patient_ids: ``(N,)`` text.
        probabilities: Raw, ``(N, C)`` float64 in [0, 1]; a label that the model was not trained on has NaN only.
        targets: ``(N, C)``; 1 present, 0 absent, NaN unknown.
        calibrated: Calibrated probabilities, ``(N, C)``; None without a calibration.
    """

    labels: tuple[str, ...]
    image_ids: NDArray[np.object_]
    patient_ids: NDArray[np.object_]
    probabilities: FloatArray
    targets: FloatArray
    calibrated: FloatArray | None = None

    def __post_init__(self) -> None:
        check_probabilities(self.probabilities, self.labels, "the predictions")

    @property
    def undefined_labels(self) -> tuple[str, ...]:
        """The labels without probabilities."""
        columns = np.flatnonzero(np.isnan(self.probabilities).all(axis=0))
        return tuple(self.labels[column] for column in columns)

    def rows(self, selected: NDArray[np.bool_] | NDArray[np.intp]) -> "Predictions":
        """The predictions of some of the images."""
        return Predictions(
            self.labels,
            self.image_ids[selected],
            self.patient_ids[selected],
            self.probabilities[selected],
            self.targets[selected],
            None if self.calibrated is None else self.calibrated[selected],
        )

    def columns(self, labels: Sequence[str]) -> "Predictions":
        """The predictions of some of the labels, in this order."""
        positions = [self.labels.index(label) for label in labels]
        calibrated = None if self.calibrated is None else self.calibrated[:, positions]
        return replace(
            self,
            labels=tuple(labels),
            probabilities=self.probabilities[:, positions],
            targets=self.targets[:, positions],
            calibrated=calibrated,
        )


def check_probabilities(probabilities: FloatArray, labels: Sequence[str], source: str) -> None:
    """Refuse numbers that are no probabilities; a label may have none at all.

    Args:
        probabilities: ``(N, C)``.
        labels: C names.
        source: Where the numbers come from, for the message.

    Raises:
        ValueError: If a number is below 0 or above 1, or NaN where the label or any label has others; the message names
            the labels.
    """
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # NaN compares false
    undefined = np.isnan(probabilities).all(axis=0)
    wrong &= ~undefined | undefined.all()
    if wrong.any():
        names = [label for label, column in zip(labels, wrong.T, strict=True) if column.any()]
        first = probabilities[wrong][0]
        raise ValueError(
            f"Expected probabilities in [0, 1] in {source} but {int(wrong.sum())} numbers are not, first {first:g}, "
            f"of {preview(names)}. Give probabilities, not logits: 1 / (1 + exp(-logit)); leave no number out."
        )


def predictions_of(table: pd.DataFrame, labels: Sequence[str], probabilities: FloatArray) -> Predictions:
    """Predictions of the images in a manifest's table, in its order.

    Args:
        table: N rows with ``image_id``, ``patient_id`` and the labels.
        labels: C label columns.
        probabilities: ``(N, C)``.
    """
    return Predictions(
        tuple(labels),
        table["image_id"].to_numpy(dtype=object),
        table["patient_id"].to_numpy(dtype=object),
        np.asarray(probabilities, dtype=np.float64),
        target_array(table, labels).astype(np.float64),
    )
