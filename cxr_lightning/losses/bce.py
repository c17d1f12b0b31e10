"""Multi-label binary cross-entropy on logits with masking of unknown targets."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_lightning.losses.class_weights import class_weights, positive_weights, trained_columns
from cxr_lightning.utils.validation import check_choice

Weighting = Literal["balanced", "positive", "none"]
Reduction = Literal["mean", "sum"]


def bce_with_logits(logits: Tensor, targets: Tensor, positive_weights: Tensor, negative_weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy of each label, the mean over its known targets.

    It is computed from log-sigmoids, so it is finite for every finite logit.

    Args:
        logits: Logits, ``(B, C)``.
        targets: Ground truth, ``(B, C)``; 1 present, 0 absent, NaN unknown (adds nothing).
        positive_weights: Factor on the positives' terms, ``(C,)``.
        negative_weights: Factor on the negatives' terms, ``(C,)``.

    Returns:
        Loss of each label, ``(C,)`` float32; 0 for a label without known targets in the batch.
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
        num_labels: Number of labels, C.
        reduction: ``mean`` over labels, or ``sum`` as in the Keras walk-through.
        weights: Positive and negative weights, each ``(C,)``; ones by default.

    Raises:
        ValueError: If the reduction is unknown or the weights have another number of labels.
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
        """Compute the loss of a batch, a scalar.

        Args:
            logits: Logits, ``(B, C)``.
            targets: Ground truth, ``(B, C)``; 1, 0 or NaN (unknown).
        """
        per_label = bce_with_logits(logits, targets, self.positive_weights, self.negative_weights)
        return per_label.sum() if self.reduction == "sum" else per_label.mean()

    def constant_baseline(self, prevalence: Tensor, targets: Tensor) -> float:
        """Loss of the best prediction that is the same for every image.

        The best constant of each label minimizes its expected loss under the prevalence:
        ``p = w_pos * f / (w_pos * f + w_neg * (1 - f))``; one half where that is 0 / 0 (a weighted label with only
        positives or only negatives: every constant has loss 0) or the prevalence is unknown.

        Args:
            prevalence: Fraction of positives of each label in the training set, ``(C,)`` in [0, 1], NaN if unknown.
            targets: Ground truth on which the loss is computed, ``(N, C)``.

        Example:
            >>> targets = torch.tensor([[1.0], [0.0]])
            >>> round(MultilabelBCE(1).constant_baseline(torch.tensor([0.5]), targets), 4)
            0.6931
        """
        positive = self.positive_weights * prevalence
        negative = self.negative_weights * (1 - prevalence)
        probability = (positive / (positive + negative)).nan_to_num(0.5).clamp(1e-6, 1 - 1e-6)
        return float(self(probability.logit().expand_as(targets), targets))

    def get_extra_state(self) -> dict[str, Any]:
        """Return the settings that are not buffers, as plain values."""
        return {"reduction": self.reduction}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the settings from :meth:`get_extra_state`.

        Raises:
            ValueError: If the reduction is unknown.
        """
        self.reduction = check_choice("reduction", state["reduction"], Reduction)


def build_loss(targets: Tensor, *, weighting: Weighting = "balanced", reduction: Reduction = "mean") -> MultilabelBCE:
    """Build the loss for a training set; a label without positives or without negatives adds nothing to it.

    Args:
        targets: Ground truth of the training set, ``(N, C)``; 1, 0 or NaN (unknown).
        weighting: ``balanced`` (:func:`class_weights`), ``positive`` (:func:`positive_weights`) or ``none``.
        reduction: ``mean`` or ``sum`` over labels.

    Raises:
        ValueError: If the weighting is unknown, or no label has positives and negatives.
    """
    weightings = {"balanced": class_weights, "positive": positive_weights}
    if weighting != "none" and weighting not in weightings:
        raise ValueError(f"Expected `loss.weighting` to be balanced, positive or none but got {weighting!r}.")
    trained = trained_columns(targets).float()
    weights = (trained, trained) if weighting == "none" else weightings[weighting](targets)
    return MultilabelBCE(targets.shape[1], reduction=reduction, weights=weights)
