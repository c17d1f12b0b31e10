"""On whom does it fail: AUROC by sex, age and view."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.evaluation.findings import rank_labels
from cxr_lightning.evaluation.results import Mean, Subgroup
from cxr_lightning.metrics.resampling import bootstrap_scores, draw_patients, estimate, mean_estimate
from cxr_lightning.predictions import Predictions

AGE_BANDS = ((0, 20), (20, 40), (40, 60), (60, 80), (80, 200))
"""Years, the upper end excluded.

References:
    Seyyed-Kalantari et al., "CheXclusion", Pacific Symposium on Biocomputing 2021.
"""
UNKNOWN = "unknown"


def score_subgroups(
    predictions: Predictions, table: pd.DataFrame, *, replicates: int, seed: int
) -> tuple[Subgroup, ...]:
    """AUROC of each group, its patients drawn anew by themselves.

    Args:
        predictions: Of N images.
        table: N rows in the same order with ``sex``, ``age`` and ``view_position``.
        replicates: Of the bootstrap.
        seed: Of its draws.

    Returns:
        Nothing for an attribute that no image has.
    """
    groups = []
    for attribute, names in group_names(table).items():
        if (names == UNKNOWN).all():
            continue
        for name in sorted(set(names), key=lambda name: (name == UNKNOWN, name)):
            chosen = predictions.rows(names == name)
            groups.append(_score(attribute, str(name), chosen, replicates, seed))
    return tuple(groups)


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
    return np.array([value if isinstance(value, str) and value else UNKNOWN for value in values], dtype=object)


def _band(age: float) -> str:
    """Such as ``40-59``.

    >>> _band(59.9), _band(60), _band(93), _band(float("nan"))
    ('40-59', '60-79', '80 or older', 'unknown')
    """
    for low, high in AGE_BANDS:
        if low <= age < high:
            return f"{low}-{high - 1}" if high < 100 else f"{low} or older"
    return UNKNOWN


def _score(attribute: str, name: str, chosen: Predictions, replicates: int, seed: int) -> Subgroup:
    resampling = draw_patients(chosen.patient_ids, replicates, seed)
    rankings = rank_labels(chosen)
    values = [ranking.score()[0] for ranking in rankings]
    drawn = bootstrap_scores(rankings, resampling)[0]
    by_label = {
        label: (estimate(value, drawn[:, column]), len(rankings[column].positives))
        for column, (label, value) in enumerate(zip(chosen.labels, values, strict=True))
    }
    mean = Mean(*mean_estimate(values, drawn))
    return Subgroup(attribute, name, len(chosen.image_ids), resampling.patients, mean, by_label)
