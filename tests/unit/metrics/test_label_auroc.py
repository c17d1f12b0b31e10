"""AUROC against scikit-learn and against its definition."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from cxr_lightning.metrics.label_auroc import LabelAUROC
from cxr_lightning.metrics.ranking import macro_mean

NAN = float("nan")
# Ours sums trapezoids in float32: with a thousand samples that is good to about 1e-6.
TOLERANCE = 1e-6


def auroc(probabilities: Tensor, targets: Tensor, batches: int = 1) -> list[float]:
    metric = LabelAUROC(targets.shape[1])
    for part, truth in zip(probabilities.chunk(batches), targets.chunk(batches), strict=True):
        metric.update(part, truth)
    return metric.compute()


def ordered_pairs(probabilities: Tensor, targets: Tensor) -> float:
    """The definition: the fraction of (positive, negative) pairs in the right order, ties half."""
    positive, negative = probabilities[targets == 1], probabilities[targets == 0]
    pairs = positive[:, None] - negative[None, :]
    return float(((pairs > 0).double() + 0.5 * (pairs == 0)).mean())


def random_scores(seed: int, rows: int = 200, labels: int = 3, *, ties: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(rows, labels, generator=generator)
    probabilities = (10 * probabilities).round() / 10 if ties else probabilities
    targets = (torch.rand(rows, labels, generator=generator) < 0.3).float()
    targets[0], targets[1] = 1, 0  # both sides, always
    return probabilities, targets


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_equals_scikit_learn_and_the_definition(ties: bool) -> None:
    probabilities, targets = random_scores(0, rows=1000, ties=ties)
    values = auroc(probabilities, targets)
    for value, scores, truth in zip(values, probabilities.T, targets.T, strict=True):
        assert value == pytest.approx(roc_auc_score(truth.numpy(), scores.numpy()), abs=TOLERANCE)
        assert value == pytest.approx(ordered_pairs(scores, truth), abs=TOLERANCE)


def test_auroc_by_hand() -> None:
    # Positives .8 and .4, negatives .6, .4, .2: of six pairs 3 + 1 are in order and one is tied.
    probabilities = torch.tensor([[0.8], [0.4], [0.6], [0.4], [0.2]])
    assert auroc(probabilities, torch.tensor([[1.0], [1], [0], [0], [0]])) == [pytest.approx(4.5 / 6, abs=TOLERANCE)]


def test_auroc_of_a_perfect_order_is_1_whatever_its_rounding() -> None:
    probabilities = torch.linspace(0.9, 0.1, 20)[:, None]  # in float32 the trapezoids below add up to 1.0000001
    assert auroc(probabilities, (torch.arange(20) == 0).float()[:, None]) == [1.0]


def test_auroc_is_nan_where_one_class_is_missing_and_only_there() -> None:
    probabilities = torch.rand(4, 4)
    targets = torch.tensor([[0.0, 1, 1, NAN], [0, 1, 0, NAN], [0, 1, NAN, NAN], [0, NAN, 1, NAN]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the caller says it once; torchmetrics' warning would be the second
        values = auroc(probabilities, targets)
    assert [math.isnan(value) for value in values] == [True, True, False, True]


def test_a_single_label_works_and_is_nan_without_positives() -> None:
    probabilities, targets = random_scores(1, labels=1)
    assert auroc(probabilities, targets) == [pytest.approx(ordered_pairs(probabilities[:, 0], targets[:, 0]), abs=1e-6)]
    assert math.isnan(auroc(probabilities, torch.zeros_like(targets))[0])


def test_unknown_targets_are_left_out() -> None:
    probabilities, targets = random_scores(2)
    targets[10:60, 1] = NAN
    known = ~targets[:, 1].isnan()
    expected = roc_auc_score(targets[known, 1].numpy(), probabilities[known, 1].numpy())
    assert auroc(probabilities, targets)[1] == pytest.approx(expected, abs=TOLERANCE)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
@settings(max_examples=15)
def test_many_batches_equal_one(seed: int, batches: int) -> None:
    probabilities, targets = random_scores(seed, rows=60, ties=True)
    assert auroc(probabilities, targets, len(probabilities.chunk(batches))) == auroc(probabilities, targets)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_increasing_maps_and_order_leave_auroc_and_mirroring_turns_it(seed: int) -> None:
    probabilities, targets = random_scores(seed, ties=True)
    value = np.array(auroc(probabilities, targets))
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    np.testing.assert_array_equal(auroc(probabilities**3, targets), value)
    np.testing.assert_array_equal(auroc(0.5 + probabilities / 4, targets), value)
    np.testing.assert_array_equal(auroc(probabilities[order], targets[order]), value)
    # With ten levels 1 - p keeps ties and order.
    np.testing.assert_allclose(auroc(1 - probabilities, targets), 1 - value, atol=TOLERANCE)


def test_small_probabilities_are_not_taken_for_logits() -> None:
    # torchmetrics applies a sigmoid to a batch with a value outside [0, 1]; ours never guesses.
    metric = LabelAUROC(2)
    metric.update(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.eye(2))
    metric.update(torch.tensor([[0.5, 0.5]]), torch.zeros(1, 2))
    assert metric.compute() == [0.0, 0.0]


@pytest.mark.parametrize("wrong", [1.5, -0.1, NAN, float("inf")])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"probabilities in \[0, 1\] but some are not"):
        LabelAUROC(2).update(torch.tensor([[0.5, wrong]]), torch.ones(1, 2))


def test_targets_of_another_number_of_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of 3 labels but got shapes \(4, 2\) and \(4, 3\)"):
        LabelAUROC(3).update(torch.rand(4, 2), torch.ones(4, 3))


def test_reset_forgets() -> None:
    probabilities, targets = random_scores(3)
    metric = LabelAUROC(3)
    metric.update(1 - probabilities, targets)
    metric.reset()
    metric.update(probabilities, targets)
    assert metric.compute() == auroc(probabilities, targets)


def test_macro_is_the_mean_of_defined_labels_and_their_number() -> None:
    mean, defined = macro_mean([0.6, NAN, 0.9])
    assert mean == pytest.approx(0.75)
    assert defined == 2
    mean, defined = macro_mean([NAN])
    assert math.isnan(mean)
    assert defined == 0
