"""Intervals over patients against other ways to have them."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, norm
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr_lightning.metrics.bootstrap import (
    Estimate,
    bootstrap_scores,
    draw_patients,
    estimate,
    mean_estimate,
    proportion,
)
from cxr_lightning.metrics.ranking import FloatArray, rank_by_score


def clustered(seed: int, patients: int = 120, images: int = 3) -> tuple[list[str], FloatArray, FloatArray]:
    """Patients whose images resemble one another."""
    generator = np.random.default_rng(seed)
    names = np.repeat(np.arange(patients), images)
    ill = (generator.random(patients) < 0.3).astype(float)
    scores = 1.2 * ill[names] + generator.normal(size=patients)[names] + 0.3 * generator.normal(size=len(names))
    return [f"p{name}" for name in names], 1 / (1 + np.exp(-scores)), ill[names]


def test_replicates_are_what_scikit_learn_computes_from_the_same_draws() -> None:
    patients, scores, targets = clustered(0)
    resampling = draw_patients(patients, 20, seed=1)
    found = bootstrap_scores([rank_by_score(scores, targets)], resampling)
    for replicate in range(20):
        weights = resampling.weights(replicate)
        auroc = roc_auc_score(targets, scores, sample_weight=weights)
        precision = average_precision_score(targets, scores, sample_weight=weights)
        assert found[0][replicate, 0] == pytest.approx(auroc, abs=1e-9)
        assert found[1][replicate, 0] == pytest.approx(precision, abs=1e-9)


def test_interval_is_that_of_a_plain_loop_over_drawn_patients() -> None:
    patients, scores, targets = clustered(1)
    resampling = draw_patients(patients, 4000, seed=2)
    ours = estimate(0.5, bootstrap_scores([rank_by_score(scores, targets)], resampling)[0][:, 0])
    names = np.array(patients)
    rows = [np.flatnonzero(names == name) for name in sorted(set(patients))]
    generator = np.random.default_rng(3)
    values = []
    for _ in range(1000):
        chosen = np.concatenate([rows[number] for number in generator.integers(len(rows), size=len(rows))])
        values.append(roc_auc_score(targets[chosen], scores[chosen]))
    low, high = np.quantile(values, [0.025, 0.975])
    # The ends of a 1,000-replicate interval scatter by about a twentieth of its width; four times that.
    assert ours.low == pytest.approx(low, abs=0.2 * (high - low))
    assert ours.high == pytest.approx(high, abs=0.2 * (high - low))


def test_interval_with_one_image_a_patient_is_scipys_bootstrap() -> None:
    patients, scores, targets = clustered(2, patients=200, images=1)
    ours = estimate(0.5, bootstrap_scores([rank_by_score(scores, targets)], draw_patients(patients, 4000, 0))[0][:, 0])
    theirs = bootstrap(
        (targets, scores),
        roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.2 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.2 * width)


def test_images_that_are_copies_do_not_narrow_the_interval() -> None:
    patients, scores, targets = clustered(3, images=1)
    once = bootstrap_scores([rank_by_score(scores, targets)], draw_patients(patients, 200, 0))
    thrice = bootstrap_scores(
        [rank_by_score(np.repeat(scores, 3), np.repeat(targets, 3))],
        draw_patients([p for p in patients for _ in "123"], 200, 0),
    )
    assert once[0] == pytest.approx(thrice[0])
    assert once[1] == pytest.approx(thrice[1])


def test_interval_covers_the_truth_as_often_as_it_states() -> None:
    # Two normal distributions one standard deviation apart: the true AUROC is known.
    truth, covered, trials = float(norm.cdf(1 / math.sqrt(2))), 0, 200
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        targets = np.repeat([1.0, 0.0], [60, 140])
        scores = generator.normal(size=200) + targets
        ranking = rank_by_score(scores, targets)
        drawn = bootstrap_scores([ranking], draw_patients([str(n) for n in range(200)], 200, trial))[0][:, 0]
        interval = estimate(ranking.score()[0], drawn)
        covered += interval.low <= truth <= interval.high
    # 95 % of 200 with a standard deviation of 3; percentile intervals are known to cover slightly less.
    assert 0.90 <= covered / trials <= 0.99


def test_draws_depend_on_neither_the_order_of_images_nor_the_process() -> None:
    patients, scores, targets = clustered(4)
    order = np.random.default_rng(0).permutation(len(scores))
    straight = bootstrap_scores([rank_by_score(scores, targets)], draw_patients(patients, 50, 7))[0]
    shuffled = bootstrap_scores(
        [rank_by_score(scores[order], targets[order])], draw_patients([patients[number] for number in order], 50, 7)
    )[0]
    assert straight == pytest.approx(shuffled, abs=1e-12)


def test_there_is_no_interval_with_one_patient_or_positives_of_one_patient() -> None:
    scores, targets = np.array([0.1, 0.9, 0.8, 0.3]), np.array([0.0, 1, 1, 0])
    for patients in (["a"] * 4, ["a", "b", "b", "c"]):
        drawn = bootstrap_scores([rank_by_score(scores, targets)], draw_patients(patients, 100, 0))[0]
        assert np.isnan(drawn).all()
        assert str(estimate(1.0, drawn[:, 0])) == "Estimate(value=1.0, low=nan, high=nan)"


def test_mean_excludes_undefined_labels_and_states_how_many_remain() -> None:
    replicates = np.array([[0.6, math.nan, 0.8], [0.5, math.nan, math.nan], [0.7, math.nan, 0.9]])
    mean, labels = mean_estimate([0.6, math.nan, 0.8], replicates)
    assert labels == 2
    assert mean.value == pytest.approx(0.7)
    # Row means are .7, .5 (the other label lost its positives) and .8.
    assert (mean.low, mean.high) == pytest.approx(tuple(np.quantile([0.7, 0.5, 0.8], [0.025, 0.975])))
    assert mean_estimate([math.nan], np.full((3, 1), math.nan))[1] == 0


def test_mean_has_no_interval_where_a_label_of_it_has_none() -> None:
    mean, labels = mean_estimate([0.6, 0.8], np.array([[0.6, math.nan], [0.5, math.nan]]))
    assert mean.value == pytest.approx(0.7)
    assert labels == 2
    assert math.isnan(mean.low)


def test_proportion_by_hand_and_wilson_at_the_ends() -> None:
    resampling = draw_patients(["a", "a", "b", "c"], 500, 0)
    among = np.array([True, True, True, False])
    found = proportion(np.array([True, False, True, True]), among, resampling)
    assert found.value == pytest.approx(2 / 3)
    assert found.low < found.value < found.high
    # Wilson by hand for 2 of 2 patients: lower end n / (n + z^2) = 2 / (2 + 3.8415).
    whole = proportion(np.ones(4, dtype=bool), among, resampling)
    assert [whole.value, whole.low, whole.high] == pytest.approx([1.0, 2 / (2 + 1.96**2), 1.0], abs=1e-4)
    none = proportion(np.zeros(4, dtype=bool), among, resampling)
    assert [none.value, none.low, none.high] == pytest.approx([0.0, 0.0, 1.96**2 / (2 + 1.96**2)], abs=1e-4)
    assert str(proportion(among, np.zeros(4, dtype=bool), resampling)) == str(Estimate())


def test_no_images_and_too_few_replicates_are_refused() -> None:
    with pytest.raises(ValueError, match="0 images, 10 replicates"):
        draw_patients([], 10, 0)
    with pytest.raises(ValueError, match="1 replicates"):
        draw_patients(["a"], 1, 0)
    with pytest.raises(ValueError, match="the seed -1"):
        draw_patients(["a"], 10, -1)
    with pytest.raises(ValueError, match=r"at most 125,000,000 `replicates` of 2 patients .* memory"):
        draw_patients(["a", "b"], 10**9, 0)
