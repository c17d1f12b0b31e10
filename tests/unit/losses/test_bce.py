"""The loss against the walk-through's formula, torch's own functions and hand-worked numbers."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_lightning.losses.bce import (
    MultilabelBCE,
    Reduction,
    bce_with_logits,
    build_loss,
)
from cxr_lightning.losses.class_weights import class_weights, positive_weights

NAN = float("nan")
REDUCTIONS: tuple[Reduction, ...] = ("mean", "sum")
TARGETS = torch.tensor([[1.0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 1]])


def walkthrough_loss(
    probabilities: Tensor, targets: Tensor, positive: Tensor, negative: Tensor, *, epsilon: float
) -> Tensor:
    """The Keras walk-through's loss, from probabilities: a sum over labels of batch means."""
    terms = -(
        positive * targets * (probabilities + epsilon).log()
        + negative * (1 - targets) * (1 - probabilities + epsilon).log()
    )
    return terms.mean(dim=0).sum()


def random_batch(seed: int, rows: int = 64, labels: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, targets, positive and negative weights."""
    generator = torch.Generator().manual_seed(seed)
    return (
        3 * torch.randn(rows, labels, generator=generator),
        (torch.rand(rows, labels, generator=generator) < 0.3).float(),
        torch.rand(labels, generator=generator),
        torch.rand(labels, generator=generator),
    )


@pytest.mark.parametrize("probability", [0.7, 0.3])
def test_the_reference_gives_the_walkthroughs_golden_number(probability: float) -> None:
    targets = torch.tensor([[1.0, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 1]])
    positive, negative = torch.tensor([0.25, 0.25, 0.5]), torch.tensor([0.75, 0.75, 0.5])
    loss = walkthrough_loss(torch.full((4, 3), probability), targets, positive, negative, epsilon=1.0)
    assert float(loss) == pytest.approx(-0.4956, abs=5e-5)  # printed with four decimals


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_our_loss_is_the_reference_without_its_epsilon(seed: int) -> None:
    logits, targets, positive, negative = random_batch(seed)
    # In float64: the reference's own rounding of log(1 - p) would be the larger error.
    reference = walkthrough_loss(
        logits.double().sigmoid(), targets.double(), positive.double(), negative.double(), epsilon=0.0
    )
    loss = bce_with_logits(logits, targets, positive, negative).sum()
    assert float(loss) == pytest.approx(float(reference), rel=1e-6)  # float32 has 24 bits: 6e-8


def test_frequencies_have_the_golden_numbers() -> None:
    positive, negative = class_weights(TARGETS)
    torch.testing.assert_close(negative, torch.tensor([0.8, 0.4, 0.8]))
    torch.testing.assert_close(positive, torch.tensor([0.2, 0.6, 0.2]))


def test_class_weights_balance_what_positives_and_negatives_add() -> None:
    positive, negative = class_weights(TARGETS)
    torch.testing.assert_close(positive * TARGETS.sum(0), negative * (1 - TARGETS).sum(0))


def test_unknown_targets_are_not_counted_in_the_weights() -> None:
    padded = torch.cat([TARGETS, torch.full((4, 3), NAN)])
    for weights in (class_weights, positive_weights):
        torch.testing.assert_close(weights(padded), weights(TARGETS))


def test_positive_weights_are_negatives_per_positive() -> None:
    positive, negative = positive_weights(torch.tensor([[1.0, 1], [0, 1], [0, 0], [NAN, 0]]))
    assert (positive.tolist(), negative.tolist()) == ([2.0, 1.0], [1.0, 1.0])


WEIGHTINGS = ("balanced", "positive", "none")


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("column", [[0.0, 0.0], [1.0, 1.0], [1.0, NAN], [NAN, NAN]])
def test_a_label_that_cannot_be_learned_adds_nothing_to_the_loss(weighting: str, column: list[float]) -> None:
    targets = torch.tensor([[1.0, column[0]], [0.0, column[1]]])
    loss = build_loss(targets, weighting=weighting)  # type: ignore[arg-type]  # a parameter is a str
    alone = build_loss(targets[:, :1], weighting=weighting)  # type: ignore[arg-type]  # a parameter is a str
    logits = torch.tensor([[0.3, 1.0], [-1.0, 2.0]])
    assert float(loss(logits, torch.tensor([[1.0, 0], [0, 1.0]]))) == float(alone(logits[:, :1], targets[:, :1])) / 2


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_targets_of_which_no_label_can_be_learned_are_refused(weighting: str) -> None:
    with pytest.raises(ValueError, match=r"positives and negatives among the 2 training images but none of the 2"):
        build_loss(torch.tensor([[1.0, NAN], [1.0, NAN]]), weighting=weighting)  # type: ignore[arg-type]  # as above


def test_weights_of_one_give_plain_binary_cross_entropy() -> None:
    logits, targets, _, _ = random_batch(1)
    # Two float32 implementations of one formula: a few units in the last place.
    torch.testing.assert_close(MultilabelBCE(5)(logits, targets), nn.BCEWithLogitsLoss()(logits, targets))


def test_positive_weighting_is_torchs_pos_weight() -> None:
    logits, targets, _, _ = random_batch(2)
    loss = build_loss(targets, weighting="positive")
    torch_loss = nn.BCEWithLogitsLoss(pos_weight=(targets == 0).sum(0) / targets.sum(0))
    torch.testing.assert_close(loss(logits, targets), torch_loss(logits, targets))


def test_no_weighting_means_weights_of_one() -> None:
    loss = build_loss(torch.tensor([[1.0], [0.0]]), weighting="none")
    assert loss.positive_weights.tolist() == loss.negative_weights.tolist() == [1.0]


def test_an_unknown_target_changes_neither_loss_nor_gradient() -> None:
    logits, targets, positive, negative = random_batch(3)
    more = torch.cat([logits, torch.randn(7, 5)]).requires_grad_()
    masked = bce_with_logits(more, torch.cat([targets, torch.full((7, 5), NAN)]), positive, negative)
    logits.requires_grad_()
    plain = bce_with_logits(logits, targets, positive, negative)
    torch.testing.assert_close(masked, plain)
    (gradient,) = torch.autograd.grad(masked.sum(), more)
    torch.testing.assert_close(gradient[:64], torch.autograd.grad(plain.sum(), logits)[0])
    assert gradient[64:].abs().max() == 0


def test_one_unknown_cell_leaves_the_other_labels_of_its_row() -> None:
    logits, targets, positive, negative = random_batch(4)
    full = bce_with_logits(logits, targets, positive, negative)
    targets[0, 2] = NAN
    masked = bce_with_logits(logits, targets, positive, negative)
    assert (masked != full).tolist() == [False, False, True, False, False]
    torch.testing.assert_close(masked[2], bce_with_logits(logits[1:], targets[1:], positive, negative)[2])


def test_a_label_unknown_in_the_whole_batch_adds_zero() -> None:
    per_label = bce_with_logits(torch.ones(2, 2), torch.tensor([[1.0, NAN]] * 2), torch.ones(2), torch.ones(2))
    assert per_label[1] == 0


def test_extreme_logits_give_finite_losses_and_gradients() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = MultilabelBCE(2, weights=(torch.tensor([0.0, 1.0]), torch.ones(2)))(logits, torch.eye(2))
    assert loss.isfinite()
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_a_wrong_extreme_logit_costs_its_distance() -> None:
    assert float(MultilabelBCE(1)(torch.tensor([[-1e4]]), torch.ones(1, 1))) == 1e4  # log(1 + e**x) = x


def test_the_loss_is_computed_in_float32_under_bfloat16_logits() -> None:
    logits, targets, positive, negative = random_batch(5)
    half = logits.bfloat16()
    loss = bce_with_logits(half, targets, positive, negative)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, bce_with_logits(half.float(), targets, positive, negative))


def test_the_sum_is_c_times_the_mean() -> None:
    logits, targets, positive, negative = random_batch(6)
    mean, total = (
        MultilabelBCE(5, reduction=reduction, weights=(positive, negative))(logits, targets) for reduction in REDUCTIONS
    )
    torch.testing.assert_close(total, 5 * mean)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_sample_order_does_not_matter(seed: int) -> None:
    logits, targets, positive, negative = random_batch(seed % 1000)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        bce_with_logits(logits[order], targets[order], positive, negative),
        bce_with_logits(logits, targets, positive, negative),
    )


def test_a_checkpoint_carries_weights_and_reduction(tmp_path: Path) -> None:
    logits, targets, positive, negative = random_batch(7)
    loss = MultilabelBCE(5, reduction="sum", weights=(positive, negative))
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    other = MultilabelBCE(5)
    other.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    assert other.reduction == "sum"
    assert torch.equal(other(logits, targets), loss(logits, targets))


@pytest.mark.parametrize("weighting", ["balanced", "positive", "none"])
def test_constant_loss_is_the_lowest_of_a_grid(weighting: str) -> None:
    _, targets, _, _ = random_batch(8, rows=200, labels=3)
    loss = build_loss(targets, weighting=weighting)  # type: ignore[arg-type]  # a parameter is a str
    grid = torch.linspace(0.001, 0.999, 999)
    per_label = [
        min(
            float(F.binary_cross_entropy(p.expand(200), column, weight=torch.where(column == 1, w_pos, w_neg)))
            for p in grid
        )
        for column, w_pos, w_neg in zip(targets.T, loss.positive_weights, loss.negative_weights, strict=True)
    ]
    lowest = sum(per_label) / 3
    # The grid's best is at most half a step (0.0005) from the minimum, where the loss is flat.
    assert loss.constant_baseline(targets.mean(0), targets) == pytest.approx(lowest, abs=1e-4)
    assert loss.constant_baseline(targets.mean(0), targets) <= lowest + 1e-6


@pytest.mark.parametrize("weighting", ["balanced", "positive", "none"])
def test_constant_loss_is_a_number_for_a_label_without_positives_or_negatives(weighting: str) -> None:
    targets = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    loss = build_loss(targets, weighting=weighting)  # type: ignore[arg-type]  # a parameter is a str
    constant = loss.constant_baseline(targets.mean(0), targets)
    expected = float(build_loss(targets[:, 2:], weighting=weighting)(torch.zeros(2, 1), targets[:, 2:])) / 3  # type: ignore[arg-type]
    assert constant == pytest.approx(expected, abs=1e-5)  # probabilities are kept 1e-6 away from 0 and 1


def test_constant_loss_is_a_number_for_a_label_without_known_targets() -> None:
    targets = torch.tensor([[1.0, NAN], [0.0, NAN]])
    constant = MultilabelBCE(2).constant_baseline(targets.nanmean(0), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    assert constant == pytest.approx(0.6931, abs=5e-5)  # log 2: nothing is known, so one half


def test_an_unknown_weighting_or_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`loss.weighting` to be balanced, positive or none but got 'square'"):
        build_loss(TARGETS, weighting="square")  # type: ignore[arg-type]  # the error under test
    with pytest.raises(ValueError, match=r"`loss.reduction` to be mean or sum but got 'max'"):
        MultilabelBCE(3, reduction="max")  # type: ignore[arg-type]  # the error under test


def test_weights_of_another_number_of_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 positive and 3 negative weights but got shapes \(2,\) and \(3,\)"):
        MultilabelBCE(3, weights=(torch.ones(2), torch.ones(3)))
