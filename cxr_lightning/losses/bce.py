"""Multi-label binary cross-entropy on logits, its class weights, and masking of unknown targets."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Weighting = Literal["balanced", "positive", "none"]
Reduction = Literal["mean", "sum"]


def class_weights(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights with which a label's positives and negatives add the same to the loss.

    The positive weight is the share of negatives and the reverse; unknown (NaN)
    targets are not counted.

    Args:
        targets: Ground truth, ``(N, C)``; 1 present, 0 absent, NaN unknown.

    Returns:
        Positive and negative weights, each ``(C,)`` float32 in [0, 1], summing to 1.

    Raises:
        ValueError: If a label has no known target at all.

    References:
        Rajpurkar et al., "CheXNet", 2017, section 2.1.

    Example:
        >>> class_weights(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
        (tensor([0.7500]), tensor([0.2500]))
    """
    positives, known = _count(targets)
    frequency = (positives / known).float()
    return 1 - frequency, frequency


def positive_weights(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Negatives per positive as the positive weight, and 1 as the negative one.

    This is PyTorch's ``pos_weight``. A label without positives gets the weight 1.

    Args:
        targets: Ground truth, ``(N, C)``; 1 present, 0 absent, NaN unknown.

    Returns:
        Positive and negative weights, each ``(C,)`` float32.

    Raises:
        ValueError: If a label has no known target at all.

    Example:
        >>> positive_weights(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
        (tensor([3.]), tensor([1.]))
    """
    positives, known = _count(targets)
    ratio = torch.where(positives > 0, (known - positives) / positives.clamp(min=1), 1.0).float()
    return ratio, torch.ones_like(ratio)


def _count(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Positives and known targets of each label, in float64: float32 stops counting at 2**24."""
    known = (~targets.isnan()).sum(dim=0).double()
    if (known == 0).any():
        columns = (known == 0).nonzero().flatten().tolist()
        raise ValueError(
            f"Expected a known target for every label but columns {columns[:5]} hold none. "
            "Leave these labels out of `data.labels`."
        )
    return targets.nan_to_num(0.0).sum(dim=0, dtype=torch.float64), known


def bce_with_logits(logits: Tensor, targets: Tensor, positive_weights: Tensor, negative_weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy of each label, the mean over its known targets.

    Computed from log-sigmoids, so it is finite for every finite logit.

    Args:
        logits: ``(B, C)``.
        targets: ``(B, C)``; 1 present, 0 absent, NaN unknown (adds nothing).
        positive_weights: ``(C,)``, on the positives' terms.
        negative_weights: ``(C,)``, on the negatives' terms.

    Returns:
        ``(C,)`` float32; 0 for a label without known targets in the batch.
    """
    logits = logits.float()
    known = ~targets.isnan()
    present = targets.nan_to_num(0.0)
    terms = -(
        positive_weights * present * F.logsigmoid(logits) + negative_weights * (1 - present) * F.logsigmoid(-logits)
    )
    return torch.where(known, terms, 0.0).sum(dim=0) / known.sum(dim=0).clamp(min=1)


class MultilabelBCE(nn.Module):
    """Weighted binary cross-entropy over labels; its weights are buffers, so a checkpoint holds them.

    Args:
        num_labels: C.
        reduction: ``mean`` over labels, or ``sum`` as in the Keras walk-through.
        weights: Positive and negative weights, each ``(C,)``; ones if not given.

    Raises:
        ValueError: If the reduction is unknown or the weights are of another number of labels.
    """

    positive_weights: Tensor
    negative_weights: Tensor

    def __init__(
        self, num_labels: int, *, reduction: Reduction = "mean", weights: tuple[Tensor, Tensor] | None = None
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum"):
            raise ValueError(f"Expected `loss.reduction` to be mean or sum but got {reduction!r}.")
        self.reduction = reduction
        positive, negative = weights or (torch.ones(num_labels), torch.ones(num_labels))
        if not positive.shape == negative.shape == (num_labels,):
            raise ValueError(
                f"Expected {num_labels} positive and {num_labels} negative weights but got shapes "
                f"{tuple(positive.shape)} and {tuple(negative.shape)}. Compute them from the same labels' targets."
            )
        self.register_buffer("positive_weights", positive.float())
        self.register_buffer("negative_weights", negative.float())

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: ``(B, C)``.
            targets: ``(B, C)``; 1, 0 or NaN (unknown).
        """
        per_label = bce_with_logits(logits, targets, self.positive_weights, self.negative_weights)
        return per_label.sum() if self.reduction == "sum" else per_label.mean()

    def get_extra_state(self) -> dict[str, Any]:
        """What the buffers do not say, as plain values."""
        return {"reduction": self.reduction}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_extra_state` gave."""
        self.reduction = state["reduction"]


def build_loss(targets: Tensor, *, weighting: Weighting = "balanced", reduction: Reduction = "mean") -> MultilabelBCE:
    """The loss for a training set.

    Args:
        targets: The training set's ground truth, ``(N, C)``; 1, 0 or NaN (unknown).
        weighting: ``balanced`` (:func:`class_weights`), ``positive`` (:func:`positive_weights`) or ``none``.
        reduction: ``mean`` or ``sum`` over labels.

    Raises:
        ValueError: If the weighting is unknown, or a weighted label has no known target.
    """
    weightings = {"balanced": class_weights, "positive": positive_weights}
    if weighting != "none" and weighting not in weightings:
        raise ValueError(f"Expected `loss.weighting` to be balanced, positive or none but got {weighting!r}.")
    weights = None if weighting == "none" else weightings[weighting](targets)
    return MultilabelBCE(targets.shape[1], reduction=reduction, weights=weights)


def constant_loss(loss: MultilabelBCE, prevalence: Tensor, targets: Tensor) -> float:
    """The loss of the best prediction that is the same for every image.

    The best constant of each label minimises its expected loss under the prevalence:
    ``p = w_pos * f / (w_pos * f + w_neg * (1 - f))``; one half where that is 0 / 0 (a weighted label that only has
    one side: every constant costs nothing) or the prevalence is unknown.

    Args:
        loss: The loss, with its weights.
        prevalence: Training-set share of positives of each label, ``(C,)`` in [0, 1], NaN if unknown.
        targets: The ground truth to score, ``(N, C)``.

    Example:
        >>> targets = torch.tensor([[1.0], [0.0]])
        >>> round(constant_loss(MultilabelBCE(1), torch.tensor([0.5]), targets), 4)
        0.6931
    """
    positive = loss.positive_weights * prevalence
    negative = loss.negative_weights * (1 - prevalence)
    probability = (positive / (positive + negative)).nan_to_num(0.5).clamp(1e-6, 1 - 1e-6)
    return float(loss(probability.logit().expand_as(targets), targets))
