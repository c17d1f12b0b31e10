"""Comparison of two models: differences in AUROC on the same images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr_lightning.data.manifest import preview
from cxr_lightning.evaluation.per_label import rank_labels
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.bootstrap import (
    Estimate,
    bootstrap_scores,
    draw_patients,
    estimate,
    mean_estimate,
    row_means,
)
from cxr_lightning.metrics.ranking import FloatArray, macro_mean


@dataclass(frozen=True)
class AurocDifference:
    """AUROC of two models on one label, or the mean over labels; NaN where undefined.

    Attributes:
        first: AUROC of the first model.
        second: AUROC of the second model.
        difference: Second minus first, with its paired interval.
        p_value: Two-sided p-value of the hypothesis that there is no difference.
        adjusted_p_value: The p-value corrected by Holm over the labels; the mean's is not corrected.
    """

    first: float
    second: float
    difference: Estimate
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        by_label: Differences for the labels that both models predict.
        mean: Difference of the means over the labels for which AUROC is defined.
        labels: Number of labels that the mean covers.
        images: Number of compared images.
        patients: Number of compared patients.
        replicates: Number of replicates of the bootstrap.
        not_shared: Labels that only one model predicts; they are not compared.
    """

    by_label: dict[str, AurocDifference]
    mean: AurocDifference
    labels: int
    images: int
    patients: int
    replicates: int
    not_shared: tuple[str, ...]


def compare_predictions(
    first: Predictions, second: Predictions, *, replicates: int = 2000, seed: int = 0
) -> Comparison:
    """Compare two models' AUROC with a bootstrap that draws the same patients for both.

    Args:
        first: Predictions of N images.
        second: Predictions of the same images, in any order.
        replicates: Number of replicates of the bootstrap over patients; the smallest p-value is 2 / (replicates + 1).
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If images, patients or targets differ, or the models have no label in common.

    References:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 16 (p-value from the bootstrap
        distribution of the difference); Holm, Scandinavian Journal of Statistics 1979.
    """
    labels = [label for label in first.labels if label in second.labels]
    if not labels:
        raise ValueError(
            f"Expected labels that both files predict but the first has {list(first.labels)} and the second "
            f"{list(second.labels)}. Rename the columns."
        )
    aligned = _align(first.columns(labels), second.columns(labels))
    resampling = draw_patients(aligned[0].patient_ids, replicates, seed)
    scores, replicate_scores = [], []
    for predictions in aligned:
        rankings = rank_labels(predictions)
        scores.append([ranking.score()[0] for ranking in rankings])
        replicate_scores.append(bootstrap_scores(rankings, resampling)[0])
    differences = replicate_scores[1] - replicate_scores[0]
    p_values = [_p_value(column) for column in differences.T]
    by_label = {
        label: AurocDifference(one, two, estimate(two - one, column), p_value, adjusted)
        for label, one, two, column, p_value, adjusted in zip(
            labels, *scores, differences.T, p_values, adjust_holm(p_values), strict=True
        )
    }
    (first_mean, defined), (second_mean, _) = macro_mean(scores[0]), macro_mean(scores[1])
    values = [two - one for one, two in zip(*scores, strict=True)]
    mean = mean_estimate(values, differences)[0]
    p_value = math.nan if math.isnan(mean.low) else _p_value(row_means(differences[:, ~np.isnan(values)]))
    return Comparison(
        by_label,
        AurocDifference(first_mean, second_mean, mean, p_value, p_value),
        defined,
        images=len(aligned[0].image_ids),
        patients=resampling.num_patients,
        replicates=replicates,
        not_shared=tuple(sorted({*first.labels} ^ {*second.labels})),
    )


def _align(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Put both predictions in the first one's order; refuse different images, patients or targets."""
    rows = {name: row for row, name in enumerate(second.image_ids)}
    missing = [name for name in first.image_ids if name not in rows]
    extra = sorted(set(second.image_ids) - set(first.image_ids))
    if missing or extra:
        raise ValueError(
            f"Expected predictions of the same images but {len(missing)} are only in the first file "
            f"({preview(missing) or 'none'}) and {len(extra)} only in the second ({preview(extra) or 'none'}). "
            "Evaluate both on the same images."
        )
    aligned = second.rows(np.array([rows[name] for name in first.image_ids], dtype=np.intp))
    same = (first.targets == aligned.targets) | (np.isnan(first.targets) & np.isnan(aligned.targets))
    different = ~same.all(axis=1) | (first.patient_ids != aligned.patient_ids)
    if different.any():
        raise ValueError(
            f"Expected the same targets and patients in both files but {int(different.sum())} images differ: "
            f"{preview(first.image_ids[different])}. Evaluate both with the same label file."
        )
    return first, aligned


def _p_value(differences: FloatArray) -> float:
    """Two-sided p-value: twice the fraction of replicates on the rarer side of zero; zero counts on both sides."""
    defined = differences[~np.isnan(differences)]
    if len(defined) < 2:
        return math.nan
    tail = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(defined) + 1)))


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down procedure; NaN stays NaN and is not counted.

    Example:
        >>> [round(value, 2) for value in adjust_holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((value, index) for index, value in enumerate(p_values) if not math.isnan(value))
    highest = 0.0
    for rank, (value, index) in enumerate(order):
        highest = max(highest, min(1.0, value * (len(order) - rank)))
        adjusted[index] = highest
    return adjusted
