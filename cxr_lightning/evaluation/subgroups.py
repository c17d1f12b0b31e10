"""AUROC by subgroup: sex, age and view."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.evaluation.per_label import rank_labels
from cxr_lightning.evaluation.results import MeanEstimate, Subgroup
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.bootstrap import Estimate, Resampling, bootstrap_scores, estimate, mean_estimate
from cxr_lightning.metrics.ranking import FloatArray

AGE_BANDS = ((0, 20), (20, 40), (40, 60), (60, 80), (80, 200))
"""Age bands in years, the upper end excluded.

References:
    Seyyed-Kalantari et al., "CheXclusion", Pacific Symposium on Biocomputing 2021.
"""
UNKNOWN = "unknown"
_MAX_GROUPS = 8


def score_subgroups(predictions: Predictions, table: pd.DataFrame, resampling: Resampling) -> tuple[Subgroup, ...]:
    """Compute the AUROC of each group, and its difference from the attribute's largest group.

    Args:
        predictions: Predictions of N images.
        table: N rows in the same order with ``sex``, ``age`` and ``view_position``.
        resampling: Bootstrap draws of their patients; all groups use the same draws, so that differences are paired.

    Returns:
        The groups of every attribute that is known for at least one image.
    """
    groups: list[Subgroup] = []
    for attribute, names in group_names(table).items():
        if (names == UNKNOWN).all():
            continue
        images = Counter(names.tolist())
        ordered = sorted(images, key=lambda name: (name == UNKNOWN, name))
        reference = max(ordered, key=lambda name: (name != UNKNOWN, images[name]))
        scores = {name: _score_group(predictions, names == name, resampling) for name in ordered}
        groups += [_subgroup(attribute, name, reference, scores, predictions.labels) for name in ordered]
    return tuple(groups)


@dataclass(frozen=True)
class _Scores:
    """Size of a group, AUROC and positives of each label, and AUROC in each replicate, ``(R, C)``."""

    images: int
    patients: int
    auroc: FloatArray
    positives: list[int]
    replicates: FloatArray


def _score_group(predictions: Predictions, members: NDArray[np.bool_], resampling: Resampling) -> _Scores:
    group = replace(predictions, targets=np.where(members[:, None], predictions.targets, np.nan))
    rankings = rank_labels(group)
    return _Scores(
        int(members.sum()),
        len(np.unique(resampling.patient_index[members])),
        np.array([ranking.score()[0] for ranking in rankings]),
        (group.targets == 1).sum(axis=0).tolist(),
        bootstrap_scores(rankings, resampling)[0],
    )


def _subgroup(
    attribute: str, name: str, reference: str, scores: Mapping[str, _Scores], labels: Sequence[str]
) -> Subgroup:
    group, other = scores[name], scores[reference]
    by_label = {
        label: (estimate(float(group.auroc[column]), group.replicates[:, column]), group.positives[column])
        for column, label in enumerate(labels)
    }
    difference = MeanEstimate(Estimate(), 0)
    if name != reference:
        difference = _mean(group.auroc - other.auroc, group.replicates - other.replicates)
    mean = _mean(group.auroc, group.replicates)
    return Subgroup(attribute, name, group.images, group.patients, mean, by_label, reference, difference)


def _mean(values: FloatArray, replicates: FloatArray) -> MeanEstimate:
    """Mean over the labels that have an interval: a single patient with a finding says nothing about the group."""
    defined = np.where(np.isnan(replicates).all(axis=0), np.nan, values)
    return MeanEstimate(*mean_estimate(defined.tolist(), replicates))


def group_names(table: pd.DataFrame) -> dict[str, NDArray[np.object_]]:
    """Name of each image's group, by attribute: ``sex``, ``age`` and ``view``.

    Args:
        table: Rows with ``sex``, ``age`` (years) and ``view_position``.
    """
    return {
        "sex": _group_rare_values(table["sex"]),
        "age": np.array([_age_band(age) for age in table["age"].astype("float64")], dtype=object),
        "view": _group_rare_values(table["view_position"]),
    }


def _group_rare_values(values: pd.Series) -> NDArray[np.object_]:
    """Replace missing values with ``unknown``, and all but the most common ones with ``other``."""
    names = [value if isinstance(value, str) and value else UNKNOWN for value in values]
    common = {name for name, _ in Counter(names).most_common(_MAX_GROUPS)} | {UNKNOWN}
    return np.array([name if name in common else "other" for name in names], dtype=object)


def _age_band(age: float) -> str:
    """Name of an age's band, such as ``40-59``.

    >>> _age_band(59.9), _age_band(60), _age_band(93), _age_band(float("nan"))
    ('40-59', '60-79', '80 or older', 'unknown')
    """
    for low, high in AGE_BANDS:
        if low <= age < high:
            return f"{low}-{high - 1}" if high < 100 else f"{low} or older"
    return UNKNOWN
