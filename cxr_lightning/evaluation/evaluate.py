"""Predictions to an :class:`~cxr_lightning.evaluation.results.Evaluation`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxr_lightning.evaluation.baselines import SHUFFLED, metadata_control, shuffled_control
from cxr_lightning.evaluation.comparability import Origin, state_protocol
from cxr_lightning.evaluation.per_label import mean_without_interval, score_labels
from cxr_lightning.evaluation.published import OFFICIAL_SPLIT
from cxr_lightning.evaluation.results import Control, Evaluation, LabelResult, Mean, Published
from cxr_lightning.evaluation.subgroups import score_subgroups
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.resampling import CONFIDENCE_LEVEL, draw_patients
from cxr_lightning.models.postprocess import Fitted
from cxr_lightning.utils.versions import versions

FEW = 10
"""Fewer say little: the report warns."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated, on which images.

    Attributes:
        predictions: Of N images.
        table: Their rows in the manifest, in the same order.
        train: Rows of the training images; empty if there are none.
        data: Record of the data.
        title: What data it is, for headings.
        origin: What made the predictions.
        split: ``test``, ``val`` or ``train``.
        missing: Images of the split without a prediction.
        accelerator: What predicted, and how exactly; empty for predictions from elsewhere.
        notes: What else a reader must know.
    """

    predictions: Predictions
    table: pd.DataFrame
    train: pd.DataFrame
    data: Mapping[str, Any]
    title: str
    origin: Origin
    split: str = "test"
    missing: int = 0
    accelerator: str = ""
    notes: tuple[str, ...] = ()


def check_settings(prevalences: Sequence[float], replicates: int) -> None:
    """Refuse settings that :func:`evaluate_predictions` cannot work with.

    Raises:
        ValueError: If a prevalence is not in (0, 1), or there are too few replicates.
    """
    if wrong := [share for share in prevalences if not 0 < share < 1]:
        raise ValueError(f"Expected `prevalences` between 0 and 1 but got {wrong}. Such as 'prevalences=[0.01,0.1]'.")
    if replicates < 2:
        raise ValueError(f"Expected `replicates` to be at least 2 but got {replicates}. 1000 is usual.")


def evaluate_predictions(
    subject: Subject,
    fitted: Fitted | None = None,
    *,
    not_fitted: str = "",
    prevalences: Sequence[float] = (),
    replicates: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Every number of the report.

    Args:
        subject: What is evaluated.
        fitted: Calibration and thresholds from other images; None if there are none.
        not_fitted: Why there are none.
        prevalences: In (0, 1), at which PPV, NPV and alerts are wanted, beside the set's own.
        replicates: Of the bootstrap over patients, at least 2.
        seed: Draws them.

    Raises:
        ValueError: If a prevalence is not in (0, 1), or there are too few replicates.
    """
    check_settings(prevalences, replicates)
    predictions = subject.predictions
    resampling = draw_patients(predictions.patient_ids, replicates, seed)
    labels, auroc, average_precision = score_labels(predictions, resampling, fitted, prevalences)
    protocol = state_protocol(
        predictions,
        subject.data,
        subject.origin,
        split=subject.split,
        missing=subject.missing,
        fitted_on=None if fitted is None else fitted.source,
    )
    controls = (
        metadata_control(
            predictions,
            subject.table,
            subject.train if subject.split != "train" else subject.train.iloc[:0],
            resampling,
        ),
        shuffled_control(predictions, seed),
    )
    return Evaluation(
        title=subject.title,
        subject=subject.origin.subject,
        synthetic=bool(subject.data["synthetic"]),
        split=subject.split,
        images=len(predictions.image_ids),
        patients=resampling.num_patients,
        labels=labels,
        auroc=auroc,
        average_precision=average_precision,
        brier=mean_without_interval([label.brier for label in labels]),
        ece=mean_without_interval([label.ece for label in labels]),
        calibrated_brier=_calibrated_mean(labels, "brier"),
        calibrated_ece=_calibrated_mean(labels, "ece"),
        fitted_on=None if fitted is None else fitted.source,
        not_fitted=not_fitted,
        subgroups=score_subgroups(predictions, subject.table, resampling),
        controls=controls,
        protocol=protocol,
        published=_published(predictions.labels) if protocol.comparable else (),
        model=subject.origin.record or {},
        settings={
            "replicates": replicates,
            "seed": seed,
            "interval": f"{100 * CONFIDENCE_LEVEL:g} % percentile interval of a bootstrap over patients",
            "prevalences": list(prevalences),
            "predicted with": subject.accelerator or "predictions from elsewhere",
            "data": dict(subject.data),
        },
        versions=versions(),
        warnings=tuple(_warnings(subject, labels, auroc, controls, fitted)),
    )


def _calibrated_mean(labels: Sequence[LabelResult], name: str) -> Mean | None:
    values = [getattr(label.calibration, name) for label in labels if label.calibration is not None]
    return mean_without_interval(values) if values else None


def _published(labels: Sequence[str]) -> tuple[Published, ...]:
    """Published results with their findings in our order."""
    return tuple(
        Published(paper.name, paper.source, {label: paper.auroc[label] for label in labels}, paper.mean)
        for paper in OFFICIAL_SPLIT
    )


def _warnings(
    subject: Subject, labels: Sequence[LabelResult], auroc: Mean, controls: Sequence[Control], fitted: Fitted | None
) -> Iterator[str]:
    """What a reader must know first."""
    if subject.split == "train":
        yield "These are training images: the numbers say what was memorised, not how good the model is."
    if subject.split == "val" and subject.origin.record is not None:
        yield "The epoch was chosen on these validation images: the numbers are optimistic."
    undefined = [label.label for label in labels if math.isnan(label.auroc.value)]
    if undefined:
        yield f"Without positive or without negative images, so n/a and not in the means: {', '.join(undefined)}."
    scarcer = {label.label: min(label.positives, label.n - label.positives) for label in labels}
    few = [f"{label} ({images})" for label, images in scarcer.items() if 0 < images < FEW]
    if few:
        yield f"Fewer than {FEW} positive, or negative, images, so that AUROC says little: {', '.join(few)}."
    if fitted is not None:
        few = [f"{label} ({images})" for label, images in fitted.positives.items() if images < FEW and label in scarcer]
        if few:
            yield f"Thresholds of these findings rest on fewer than {FEW} positive images: {', '.join(few)}."
    if ((subject.predictions.probabilities == 0) | (subject.predictions.probabilities == 1)).all():
        yield "Every probability is exactly 0 or 1: these look like decisions, or like the truth itself."
    if subject.missing:
        yield f"{subject.missing:,} images of the split have no prediction and are left out."
    shuffled = next(control.auroc for control in controls if control.name == SHUFFLED)
    if shuffled is not None and auroc.estimate.value <= shuffled.estimate.high:
        yield "The mean AUROC is not above what targets dealt out at random give."
    yield from subject.notes
