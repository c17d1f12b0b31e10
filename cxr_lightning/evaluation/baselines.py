"""What a model is measured beside: the easy way out, and chance."""

import numpy as np
import pandas as pd

from cxr_lightning.data.manifest import target_array
from cxr_lightning.evaluation.results import Control, Mean
from cxr_lightning.evaluation.subgroups import UNKNOWN, group_names
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.logistic import fit_logistic
from cxr_lightning.metrics.ranking import FloatArray, auroc, macro_mean, rank_by_score
from cxr_lightning.metrics.resampling import Estimate, Resampling, bootstrap_scores, mean_estimate

METADATA, SHUFFLED = "view, age and sex", "shuffled targets"
_PENALTY = 1.0
_SHUFFLES = 100


def metadata_control(
    predictions: Predictions, table: pd.DataFrame, train: pd.DataFrame, resampling: Resampling
) -> Control:
    """AUROC of a logistic model that sees no image: only view, age and sex.

    Args:
        predictions: Of the evaluated images; gives the labels and targets.
        table: Their rows.
        train: Rows of the training images, which it is fitted on; empty if there are none.
        resampling: Of the evaluated images' patients.
    """
    words = f"logistic model of view, age and sex, fitted on {len(train):,} training images"
    if train.empty:
        return Control(
            METADATA,
            "logistic model of view, age and sex",
            None,
            {},
            "there is no table of training images other than the evaluated ones",
        )
    features, fitted = _features(table, train), _features(train, train)
    if features.shape[1] == 1:
        return Control(METADATA, words, None, {}, "the label file has no view, age or sex")
    targets = target_array(train, predictions.labels).astype(np.float64)
    rankings = [
        rank_by_score(features @ _fit(fitted, column), truth)
        for column, truth in zip(targets.T, predictions.targets.T, strict=True)
    ]
    values = [ranking.score()[0] for ranking in rankings]
    mean = Mean(*mean_estimate(values, bootstrap_scores(rankings, resampling)[0]))
    return Control(METADATA, words, mean, dict(zip(predictions.labels, values, strict=True)))


def _fit(features: FloatArray, targets: FloatArray) -> FloatArray:
    known = ~np.isnan(targets)
    if not known.any():
        return np.zeros(features.shape[1])
    return fit_logistic(features[known], targets[known], penalty=_PENALTY)


def _features(table: pd.DataFrame, train: pd.DataFrame) -> FloatArray:
    """A column of ones, one for each sex and view of the training images, age in standard units and its square."""
    columns = [np.ones(len(table))]
    groups, known = group_names(table), group_names(train)
    for attribute in ("sex", "view"):
        names = sorted(set(known[attribute]))
        if len(names) > 1 or names != [UNKNOWN]:
            columns += [(groups[attribute] == name).astype(np.float64) for name in names]
    ages = train["age"].astype("float64").to_numpy()
    if not np.isnan(ages).all():
        mean, deviation = np.nanmean(ages), np.nanstd(ages) or 1.0
        age = np.nan_to_num((table["age"].astype("float64").to_numpy() - mean) / deviation)
        columns += [age, age**2]
    return np.stack(columns, axis=1)


def shuffled_control(predictions: Predictions, seed: int) -> Control:
    """Mean AUROC against targets that are dealt out to the images at random: chance, with its spread.

    Args:
        predictions: Of the evaluated images.
        seed: Of the shuffles.
    """
    generator = np.random.default_rng(seed)
    values = np.empty((_SHUFFLES, len(predictions.labels)))
    for row in values:
        dealt = predictions.targets[generator.permutation(len(predictions.targets))]
        row[:] = [auroc(*pair) for pair in zip(predictions.probabilities.T, dealt.T, strict=True)]
    means = np.array([macro_mean(row.tolist())[0] for row in values])
    words = f"targets dealt out to the images at random, {_SHUFFLES} times; the range is that of 95 % of them"
    if np.isnan(means).all():
        return Control(SHUFFLED, words, None, {}, "no finding has both positives and negatives")
    low, high = np.quantile(means, [0.025, 0.975])
    by_label = dict(zip(predictions.labels, values.mean(axis=0).tolist(), strict=True))
    labels = macro_mean(by_label.values())[1]
    return Control(SHUFFLED, words, Mean(Estimate(float(means.mean()), float(low), float(high)), labels), by_label)
