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
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.metrics.resampling import Estimate, Resampling, bootstrap_scores, estimate, mean_estimate

AGE_BANDS = ((0, 20), (20, 40), (40, 60), (60, 80), (80, 200))
"""Years, the upper end excluded.

References:
    Seyyed-Kalantari et al., "CheXclusion", Pacific Symposium on Biocomputing 2021.
"""
UNKNOWN = "unknown"
_MAX_GROUPS = 8


def score_subgroups(predictions: Predictions, table: pd.DataFrame, resampling: Resampling) -> tuple[Subgroup, ...]:
    """AUROC of each group, and how far it is from that of the attribute's largest group.

    Args:
        predictions: Predictions of N images.
        table: N rows in the same order with ``sex``, ``age`` and ``view_position``.
        resampling: Resampling of their patients; all groups share the draws, so that differences are paired.

    Returns:
        The groups of every attribute that some image has.
    """
    groups: list[Subgroup] = []
    for attribute, names in group_names(table).items():
        if (names == UNKNOWN).all():
            continue
        images = Counter(names.tolist())
        ordered = sorted(images, key=lambda name: (name == UNKNOWN, name))
        reference = max(ordered, key=lambda name: (name != UNKNOWN, images[name]))
        scores = {name: _score(predictions, names == name, resampling) for name in ordered}
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


def _score(predictions: Predictions, chosen: NDArray[np.bool_], resampling: Resampling) -> _Scores:
    inside = replace(predictions, targets=np.where(chosen[:, None], predictions.targets, np.nan))
    rankings = rank_labels(inside)
    return _Scores(
        int(chosen.sum()),
        len(np.unique(resampling.patient_index[chosen])),
        np.array([ranking.score()[0] for ranking in rankings]),
        [len(ranking.positive_rows) for ranking in rankings],
        bootstrap_scores(rankings, resampling)[0],
    )


def _subgroup(
    attribute: str, name: str, reference: str, scores: Mapping[str, _Scores], labels: Sequence[str]
) -> Subgroup:
    own, other = scores[name], scores[reference]
    by_label = {
        label: (estimate(float(own.auroc[column]), own.replicates[:, column]), own.positives[column])
        for column, label in enumerate(labels)
    }
    difference = MeanEstimate(Estimate(), 0)
    if name != reference:
        difference = _mean(own.auroc - other.auroc, own.replicates - other.replicates)
    mean = _mean(own.auroc, own.replicates)
    return Subgroup(attribute, name, own.images, own.patients, mean, by_label, reference, difference)


def _mean(values: FloatArray, replicates: FloatArray) -> MeanEstimate:
    """The mean over labels that have an interval: a finding's only patient in a group says nothing about others."""
    kept = np.where(np.isnan(replicates).all(axis=0), np.nan, values)
    return MeanEstimate(*mean_estimate(kept.tolist(), replicates))


def group_names(table: pd.DataFrame) -> dict[str, NDArray[np.object_]]:
    """Each image's group by attribute: ``sex``, ``age`` and ``view``.

    Args:
        table: With ``sex``, ``age`` (years) and ``view_position``.
    """
    return {
        "sex": _filled(table["sex"]),
        "age": np.array([_band(age) for age in table["age"].astype("float64")], dtype=object),
        "view": _filled(table["view_position"]),
    }


def _filled(values: pd.Series) -> NDArray[np.object_]:
    """The values, ``unknown`` where there is none, and ``other`` for all but the commonest ones."""
    names = [value if isinstance(value, str) and value else UNKNOWN for value in values]
    common = {name for name, _ in Counter(names).most_common(_MAX_GROUPS)} | {UNKNOWN}
    return np.array([name if name in common else "other" for name in names], dtype=object)


def _band(age: float) -> str:
    """The age band of an age, such as ``40-59``.

    >>> _band(59.9), _band(60), _band(93), _band(float("nan"))
    ('40-59', '60-79', '80 or older', 'unknown')
    """
    for low, high in AGE_BANDS:
        if low <= age < high:
            return f"{low}-{high - 1}" if high < 100 else f"{low} or older"
    return UNKNOWN
