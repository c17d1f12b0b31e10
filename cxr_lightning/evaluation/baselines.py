"""Baselines: a logistic model of view, age and sex that sees no image, and shuffled targets."""

import numpy as np
import pandas as pd

from cxr_lightning.data.manifest import target_array
from cxr_lightning.evaluation.results import Baseline, MeanEstimate
from cxr_lightning.evaluation.statements import statement
from cxr_lightning.evaluation.subgroups import UNKNOWN, group_names
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.bootstrap import Estimate, Resampling, bootstrap_scores, mean_estimate
from cxr_lightning.metrics.logistic import fit_logistic
from cxr_lightning.metrics.ranking import FloatArray, auroc, macro_mean, rank_by_score

METADATA_BASELINE, SHUFFLED_BASELINE = "view, age and sex", "shuffled targets"
"""Names of the baselines."""
_PENALTY = 1.0
_SHUFFLES = 100


def metadata_baseline(
    predictions: Predictions, table: pd.DataFrame, train: pd.DataFrame, resampling: Resampling
) -> Baseline:
    """AUROC of a logistic model that sees no image: only view, age and sex.

    Args:
        predictions: Predictions of the evaluated images, for their labels and targets.
        table: Rows of the evaluated images.
        train: Rows of the training images, on which it is fitted; empty if there are none.
        resampling: Resampling of the evaluated images' patients.
    """
    description = statement("metadata_baseline", images=len(train))
    if train.empty:
        return Baseline(METADATA_BASELINE, description, None, {}, statement("no_training_table"))
    features, train_features = _features(table, train), _features(train, train)
    if features.shape[1] == 1:
        return Baseline(METADATA_BASELINE, description, None, {}, statement("no_metadata_columns"))
    targets = target_array(train, predictions.labels).astype(np.float64)
    rankings = [
        rank_by_score(features @ _fit(train_features, column), truth)
        for column, truth in zip(targets.T, _scored_targets(predictions).T, strict=True)
    ]
    values = [ranking.score()[0] for ranking in rankings]
    mean = MeanEstimate(*mean_estimate(values, bootstrap_scores(rankings, resampling)[0]))
    return Baseline(METADATA_BASELINE, description, mean, dict(zip(predictions.labels, values, strict=True)))


def _scored_targets(predictions: Predictions) -> FloatArray:
    """Targets ``(N, C)``, unknown where there is no prediction: the means then cover the same labels as the model's."""
    targets: FloatArray = np.where(np.isnan(predictions.probabilities), np.nan, predictions.targets)
    return targets


def _fit(features: FloatArray, targets: FloatArray) -> FloatArray:
    known = ~np.isnan(targets)
    if not known.any():
        return np.zeros(features.shape[1])
    return fit_logistic(features[known], targets[known], penalty=_PENALTY)


def _features(table: pd.DataFrame, train: pd.DataFrame) -> FloatArray:
    """Columns: ones, indicators of the training images' sexes and views, standardized age and its square."""
    columns = [np.ones(len(table))]
    groups, train_groups = group_names(table), group_names(train)
    for attribute in ("sex", "view"):
        names = sorted(set(train_groups[attribute]))
        if len(names) > 1 or names != [UNKNOWN]:
            columns += [(groups[attribute] == name).astype(np.float64) for name in names]
    train_ages = train["age"].astype("float64").to_numpy()
    if not np.isnan(train_ages).all():
        mean, deviation = np.nanmean(train_ages), np.nanstd(train_ages) or 1.0
        age = np.nan_to_num((table["age"].astype("float64").to_numpy() - mean) / deviation)
        columns += [age, age**2]
    return np.stack(columns, axis=1)


def shuffled_baseline(predictions: Predictions, seed: int) -> Baseline:
    """Mean AUROC against targets that are permuted among the images: chance, with its spread.

    Args:
        predictions: Predictions of the evaluated images.
        seed: Seed of the shuffles.
    """
    generator = np.random.default_rng(seed)
    values = np.empty((_SHUFFLES, len(predictions.labels)))
    for row in values:
        permuted = predictions.targets[generator.permutation(len(predictions.targets))]
        row[:] = [auroc(*pair) for pair in zip(predictions.probabilities.T, permuted.T, strict=True)]
    means = np.array([macro_mean(row.tolist())[0] for row in values])
    description = statement("shuffled_baseline", shuffles=_SHUFFLES)
    if np.isnan(means).all():
        return Baseline(SHUFFLED_BASELINE, description, None, {}, statement("no_defined_finding"))
    low, high = np.quantile(means, [0.025, 0.975])
    by_label = dict(zip(predictions.labels, values.mean(axis=0).tolist(), strict=True))
    mean = MeanEstimate(Estimate(float(means.mean()), float(low), float(high)), macro_mean(by_label.values())[1])
    return Baseline(SHUFFLED_BASELINE, description, mean, by_label)
