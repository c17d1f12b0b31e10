"""Evaluation of predictions: compute every number of the report."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxr_lightning.evaluation.baselines import SHUFFLED_BASELINE, metadata_baseline, shuffled_baseline
from cxr_lightning.evaluation.comparability import PredictionSource, check_comparability
from cxr_lightning.evaluation.label_result import LabelResult
from cxr_lightning.evaluation.per_label import mean_without_interval, score_labels
from cxr_lightning.evaluation.published_results import OFFICIAL_SPLIT_RESULTS
from cxr_lightning.evaluation.results import Baseline, Evaluation, EvaluationSettings, MeanEstimate, PublishedResult
from cxr_lightning.evaluation.statements import Statement, statement
from cxr_lightning.evaluation.subgroups import score_subgroups
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.bootstrap import draw_patients
from cxr_lightning.metrics.report_metric import report_metrics
from cxr_lightning.models.postprocess import PostProcessing
from cxr_lightning.utils.versions import versions

MIN_IMAGES = 10
"""Number of positive or negative images below which the report warns."""


@dataclass(frozen=True)
class EvaluationInputs:
    """Predictions to evaluate, and the tables of their images.

    Attributes:
        predictions: Predictions of N images; calibrated where post-processing was fitted.
        table: Rows of these images in the manifest, in the same order.
        train: Rows of the training images; empty if there are none.
        data: Record of the data.
        source: Source of the predictions.
        split: ``test``, ``val`` or ``train``.
        missing: Number of images of the split without a prediction.
        predictor: Device and precision of the predictions; empty for predictions from elsewhere.
        notes: Further warnings for the reader.
    """

    predictions: Predictions
    table: pd.DataFrame
    train: pd.DataFrame
    data: Mapping[str, Any]
    source: PredictionSource
    split: str = "test"
    missing: int = 0
    predictor: str = ""
    notes: tuple[Statement, ...] = ()


def check_settings(prevalences: Sequence[float], replicates: int) -> None:
    """Refuse settings that :func:`evaluate_predictions` cannot work with.

    Raises:
        ValueError: If a prevalence is not in (0, 1), or there are too few replicates.
    """
    if wrong := [prevalence for prevalence in prevalences if not 0 < prevalence < 1]:
        raise ValueError(
            f"Expected `prevalences` between 0 and 1 but got {wrong}. Write them as 'prevalences=[0.01,0.1]'."
        )
    if replicates < 2:
        raise ValueError(f"Expected `replicates` to be at least 2 but got {replicates}. 1000 is usual.")


def evaluate_predictions(
    inputs: EvaluationInputs,
    postprocessing: PostProcessing | None = None,
    *,
    not_fitted: Statement | None = None,
    prevalences: Sequence[float] = (),
    replicates: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Compute every number of the report.

    Args:
        inputs: Predictions and the tables of their images.
        postprocessing: Calibration and thresholds that were fitted on other images; the predictions are calibrated with
            them.
        not_fitted: Why there is no post-processing.
        prevalences: Requested prevalences, in (0, 1), for PPV, NPV and alerts, in addition to the evaluated images'.
        replicates: Number of replicates of the bootstrap over patients, at least 2.
        seed: Seed of the bootstrap and of the shuffled targets.

    Raises:
        ValueError: If a prevalence is not in (0, 1), or there are too few replicates.
    """
    check_settings(prevalences, replicates)
    predictions = inputs.predictions
    resampling = draw_patients(predictions.patient_ids, replicates, seed)
    metrics = report_metrics()
    labels, means = score_labels(predictions, metrics, resampling, postprocessing, prevalences)
    comparability = check_comparability(
        predictions, inputs.data, inputs.source, split=inputs.split, missing=inputs.missing
    )
    train = inputs.train if inputs.split != "train" else inputs.train.iloc[:0]
    baselines = (
        metadata_baseline(predictions, inputs.table, train, resampling),
        shuffled_baseline(predictions, seed),
    )
    return Evaluation(
        source=inputs.source.name,
        synthetic=bool(inputs.data["synthetic"]),
        split=inputs.split,
        images=len(predictions.image_ids),
        patients=resampling.num_patients,
        missing=inputs.missing,
        labels=labels,
        metrics=metrics,
        means=means,
        calibrated_brier=_calibrated_mean(labels, "brier"),
        calibrated_ece=_calibrated_mean(labels, "ece"),
        fitted_on=None if postprocessing is None else postprocessing.source,
        not_fitted=not_fitted,
        subgroups=score_subgroups(predictions, inputs.table, resampling),
        baselines=baselines,
        comparability=comparability,
        published=_published(predictions.labels) if comparability.comparable else (),
        model=inputs.source.metadata or {},
        data=dict(inputs.data),
        settings=EvaluationSettings(replicates, seed, tuple(prevalences), inputs.predictor),
        versions=versions(),
        warnings=tuple(_warnings(inputs, labels, means["auroc"], baselines, postprocessing)),
    )


def _calibrated_mean(labels: Sequence[LabelResult], name: str) -> MeanEstimate | None:
    values = [getattr(label.calibration, name) for label in labels if label.calibration is not None]
    return mean_without_interval(values) if values else None


def _published(labels: Sequence[str]) -> tuple[PublishedResult, ...]:
    """Published results, with findings in the order of these labels."""
    return tuple(
        PublishedResult(paper.name, paper.source, {label: paper.auroc[label] for label in labels}, paper.mean)
        for paper in OFFICIAL_SPLIT_RESULTS
    )


def _warnings(
    inputs: EvaluationInputs,
    labels: Sequence[LabelResult],
    auroc: MeanEstimate,
    baselines: Sequence[Baseline],
    postprocessing: PostProcessing | None,
) -> Iterator[Statement]:
    """Statements that a reader must know before trusting the numbers."""
    if inputs.split == "train":
        yield statement("training_images")
    if inputs.split == "val" and inputs.source.metadata is not None:
        yield statement("epoch_chosen_on_val")
    without_predictions = inputs.predictions.undefined_labels
    if without_predictions and inputs.source.metadata is not None:
        yield statement("untrained_labels", labels=without_predictions)
    elif without_predictions:
        yield statement("no_probabilities", labels=without_predictions)
    predicted = [label for label in labels if label.label not in without_predictions]
    if undefined := [label.label for label in predicted if math.isnan(label.auroc.value)]:
        yield statement("undefined_auroc", labels=undefined)
    minority = {label.label: min(label.positives, label.n - label.positives) for label in predicted}
    if few := {label: images for label, images in minority.items() if 0 < images < MIN_IMAGES}:
        yield statement("few_images", minimum=MIN_IMAGES, images=few)
    if postprocessing is not None:
        positives = {label: n for label, n in postprocessing.positives.items() if n < MIN_IMAGES and label in minority}
        if positives:
            yield statement("few_for_thresholds", minimum=MIN_IMAGES, images=positives)
    probabilities = inputs.predictions.columns([label.label for label in predicted]).probabilities
    if ((probabilities == 0) | (probabilities == 1)).all():
        yield statement("only_zeros_and_ones")
    if inputs.missing:
        yield statement("missing_predictions", missing=inputs.missing)
    shuffled = next(baseline.auroc for baseline in baselines if baseline.name == SHUFFLED_BASELINE)
    if shuffled is not None and auroc.estimate.value <= shuffled.estimate.high:
        yield statement("at_chance")
    yield from inputs.notes
