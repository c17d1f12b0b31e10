"""Comparison of two models against DeLong's analytic variance and what must hold for any two."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from cxr_lightning.evaluation.comparison import adjust_holm, compare_predictions
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.ranking import FloatArray

Draw = Callable[..., tuple[Predictions, pd.DataFrame]]


def delong(first: FloatArray, second: FloatArray, targets: FloatArray) -> tuple[float, float]:
    """Difference of AUROC and its standard error: DeLong, DeLong and Clarke-Pearson, Biometrics 1988."""

    def placements(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        pairs = scores[targets == 1][:, None] - scores[targets == 0][None, :]
        right = (pairs > 0) + 0.5 * (pairs == 0)
        return right.mean(axis=1), right.mean(axis=0)

    (one_p, one_n), (two_p, two_n) = placements(first), placements(second)
    positives, negatives = two_p - one_p, two_n - one_n
    variance = positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)
    return float(positives.mean()), math.sqrt(variance)


def noisier(predictions: Predictions, seed: int, amount: float) -> Predictions:
    generator = np.random.default_rng(seed)
    logits = np.log(predictions.probabilities / (1 - predictions.probabilities))
    logits += generator.normal(0, amount, logits.shape)
    return replace(predictions, probabilities=1 / (1 + np.exp(-logits)))


def test_interval_and_p_value_are_delongs_where_each_patient_has_one_image(draw: Draw) -> None:
    drawn, _ = draw(0, patients=300, labels=("Mass",))
    first = replace(drawn, patient_ids=np.array([f"p{n}" for n in range(600)], dtype=object))
    second = noisier(first, 1, 0.8)
    found = compare_predictions(first, second, replicates=4000).by_label["Mass"]
    change, error = delong(first.probabilities[:, 0], second.probabilities[:, 0], first.targets[:, 0])
    assert found.difference.value == pytest.approx(change, abs=1e-12)
    # Ends of a 4,000-replicate interval scatter by about 4 % of a standard error; skewness adds some more.
    assert found.difference.low == pytest.approx(change - 1.96 * error, abs=0.25 * error)
    assert found.difference.high == pytest.approx(change + 1.96 * error, abs=0.25 * error)
    expected = 2 * norm.sf(abs(change) / error)
    assert found.p_value == pytest.approx(expected, rel=0.6, abs=0.002)


def test_images_of_one_patient_are_not_taken_for_independent(draw: Draw) -> None:
    first, _ = draw(2, patients=100, labels=("Mass",))
    second = noisier(first, 3, 1.0)
    copies = np.tile(np.arange(200), 5)
    once = compare_predictions(first, second).by_label["Mass"]
    again = compare_predictions(
        replace(first.rows(copies), image_ids=np.array([f"{n}" for n in range(1000)], dtype=object)),
        replace(second.rows(copies), image_ids=np.array([f"{n}" for n in range(1000)], dtype=object)),
    ).by_label["Mass"]
    assert again.difference.low == pytest.approx(once.difference.low, abs=1e-12)
    assert again.p_value == once.p_value


def test_a_model_does_not_differ_from_itself_and_turns_sign_when_exchanged(draw: Draw) -> None:
    first, _ = draw(4)
    second = noisier(first, 5, 2.0)
    same = compare_predictions(first, first)
    assert same.mean.difference.value == 0
    assert same.mean.p_value == 1
    there, back = compare_predictions(first, second), compare_predictions(second, first)
    assert there.mean.difference.value < 0
    for label in first.labels:
        one, two = there.by_label[label], back.by_label[label]
        assert one.difference.value == pytest.approx(-two.difference.value)
        assert one.difference.low == pytest.approx(-two.difference.high)
        assert one.p_value == two.p_value


def test_the_mean_is_that_of_labels_defined_and_order_of_rows_does_not_matter(draw: Draw) -> None:
    first, _ = draw(6)
    first.targets[:, 2] = 0
    second = noisier(first, 7, 1.0)
    found = compare_predictions(first, second, replicates=200)
    assert found.labels == 2
    assert math.isnan(found.by_label["Hernia"].first)
    assert math.isnan(found.by_label["Hernia"].adjusted_p_value)
    values = [found.by_label[label].difference.value for label in ("Mass", "Edema")]
    assert found.mean.difference.value == pytest.approx(np.mean(values))
    shuffled = second.rows(np.random.default_rng(0).permutation(len(second.image_ids)))
    assert compare_predictions(first, shuffled, replicates=200).mean == found.mean


def test_only_shared_labels_are_compared_and_the_others_named(draw: Draw) -> None:
    first, _ = draw(8)
    found = compare_predictions(first, first.columns(["Hernia", "Mass"]), replicates=50)
    assert list(found.by_label) == ["Mass", "Hernia"]
    assert found.not_shared == ("Edema",)


def test_other_images_targets_patients_or_labels_are_refused(draw: Draw) -> None:
    first, _ = draw(9)
    fewer = first.rows(np.arange(len(first.image_ids)) > 1)
    with pytest.raises(ValueError, match=r"2 are only in the first file \(00000_0\.png, 00000_1\.png\) and 0 only"):
        compare_predictions(first, fewer)
    targets = first.targets.copy()
    targets[0, 0] = 1 - targets[0, 0]
    with pytest.raises(ValueError, match=r"same targets and patients .* 1 images differ: 00000_0\.png"):
        compare_predictions(first, replace(first, targets=targets))
    patients = first.patient_ids.copy()
    patients[0] = "other"
    with pytest.raises(ValueError, match="same targets and patients"):
        compare_predictions(first, replace(first, patient_ids=patients))
    with pytest.raises(ValueError, match="labels that both files predict"):
        compare_predictions(first, replace(first, labels=("A", "B", "C")))


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    places = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(places, size)]
    expected = [max(min(1.0, len(s) * min(p_values[k] for k in s)) for s in subsets if place in s) for place in places]
    assert adjust_holm(p_values) == pytest.approx(expected)
