"""Exact AUROC and average precision against scikit-learn, torchmetrics and their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from torchmetrics.functional.classification import binary_average_precision

from cxr_lightning.metrics.ranking import FloatArray, auroc, average_precision, count_by_threshold, rank_by_score

EXACT = 1e-9


def draw(seed: int, size: int = 500, *, ties: bool = True, unknown: float = 0.0) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    targets = (generator.random(size) < 0.2).astype(float)
    scores = generator.random(size) * 0.7 + targets * 0.3
    scores = np.round(scores, 2) if ties else scores
    targets[generator.random(size) < unknown] = math.nan
    return scores, targets


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_both_equal_scikit_learn_with_and_without_ties_and_unknown_targets(seed: int, ties: bool) -> None:
    scores, targets = draw(seed, ties=ties, unknown=0.1)
    known = ~np.isnan(targets)
    assert auroc(scores, targets) == pytest.approx(roc_auc_score(targets[known], scores[known]), abs=EXACT)
    expected = average_precision_score(targets[known], scores[known])
    assert average_precision(scores, targets) == pytest.approx(expected, abs=EXACT)


def test_average_precision_equals_torchmetrics() -> None:
    scores, targets = draw(3)
    theirs = binary_average_precision(torch.tensor(scores), torch.tensor(targets).long())
    assert average_precision(scores, targets) == pytest.approx(float(theirs), abs=1e-5)  # theirs is float32


@pytest.mark.parametrize("seed", range(3))
def test_weighted_scores_equal_scikit_learn_with_sample_weights(seed: int) -> None:
    scores, targets = draw(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(scores)).astype(float)
    found = rank_by_score(scores, targets).score(weights)
    assert found[0] == pytest.approx(roc_auc_score(targets, scores, sample_weight=weights), abs=EXACT)
    assert found[1] == pytest.approx(average_precision_score(targets, scores, sample_weight=weights), abs=EXACT)


def test_weights_of_two_are_the_same_as_listing_an_image_twice() -> None:
    scores, targets = draw(0, size=60)
    weights = np.ones(60)
    weights[:20] = 2
    duplicated = rank_by_score(np.append(scores, scores[:20]), np.append(targets, targets[:20])).score()
    assert rank_by_score(scores, targets).score(weights) == pytest.approx(duplicated, abs=EXACT)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=12))
@settings(max_examples=200, deadline=None)
def test_auroc_is_the_fraction_of_ordered_pairs_and_turns_round_with_the_scores(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows]) / 5
    targets = np.array([float(truth) for _, truth in rows])
    pairs = [(p, n) for p in scores[targets == 1] for n in scores[targets == 0]]
    value = auroc(scores, targets)
    if not pairs:
        assert math.isnan(value)
        return
    ordered = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs)
    assert value == pytest.approx(ordered / len(pairs), abs=EXACT)
    assert auroc(1 - scores, targets) == pytest.approx(1 - value, abs=EXACT)
    assert auroc(scores**3, targets) == pytest.approx(value, abs=EXACT)
    order = np.random.default_rng(0).permutation(len(scores))
    assert auroc(scores[order], targets[order]) == pytest.approx(value, abs=EXACT)


@pytest.mark.parametrize("targets", [[1.0, 1, 1], [0.0, 0, 0], [math.nan] * 3, [1.0, math.nan, 1]])
def test_both_are_nan_without_positives_or_without_negatives(targets: list[float]) -> None:
    scores, truth = np.array([0.1, 0.5, 0.9]), np.array(targets)
    assert math.isnan(auroc(scores, truth))
    assert math.isnan(average_precision(scores, truth))


def test_both_are_nan_where_one_side_has_no_weight() -> None:
    ranking = rank_by_score(np.array([0.1, 0.5, 0.9]), np.array([0.0, 1, 1]))
    assert all(math.isnan(value) for value in ranking.score(np.array([0.0, 1, 1])))


def test_constant_predictions_are_chance() -> None:
    targets = np.array([1.0, 0, 0, 0])
    assert auroc(np.full(4, 0.3), targets) == 0.5
    assert average_precision(np.full(4, 0.3), targets) == 0.25  # the prevalence


def test_counts_are_the_points_of_scikit_learns_curves() -> None:
    scores, targets = draw(1)
    counts = count_by_threshold(scores, targets)
    false_rate, true_rate, thresholds = roc_curve(targets, scores, drop_intermediate=False)
    assert counts.thresholds == pytest.approx(thresholds[1:])  # theirs begins with infinity
    assert counts.true_positives / counts.positives == pytest.approx(true_rate[1:])
    assert counts.false_positives / counts.negatives == pytest.approx(false_rate[1:])
    precision, recall, _ = precision_recall_curve(targets, scores)
    ours = counts.true_positives / (counts.true_positives + counts.false_positives)
    # Theirs runs from the lowest threshold and ends in an added point.
    assert ours[::-1] == pytest.approx(precision[:-1])
    assert (counts.true_positives / counts.positives)[::-1] == pytest.approx(recall[:-1])
