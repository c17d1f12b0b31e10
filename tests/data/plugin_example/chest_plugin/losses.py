"""A loss: an ``nn.Module`` from logits and targets to a scalar."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FocalLoss(nn.Module):
    """Focal loss with a learned weight of each label; unknown (NaN) targets add nothing.

    Args:
        targets: Ground truth of the training set, ``(N, C)``; given because its YAML says ``_partial_: true``.
        gamma: Exponent of the factor that plays down easy images.

    References:
        Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """

    gamma: Tensor

    def __init__(self, targets: Tensor, *, gamma: float = 2.0) -> None:
        super().__init__()
        self.log_weights = nn.Parameter(torch.zeros(targets.shape[1]))
        self.register_buffer("gamma", torch.tensor(gamma))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss of a batch, a scalar.

        Args:
            logits: ``(B, C)``.
            targets: ``(B, C)``; 1, 0 or NaN (unknown).
        """
        known = ~targets.isnan()
        loss = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
        focal = (1 - torch.exp(-loss)) ** self.gamma * loss * self.log_weights.exp()
        return torch.where(known, focal, 0.0).sum() / known.sum().clamp(min=1)

    def constant_baseline(self, prevalence: Tensor, targets: Tensor) -> float:
        """Loss of predicting each label's prevalence for every image.

        Args:
            prevalence: ``(C,)`` in [0, 1].
            targets: ``(N, C)``.
        """
        logits = prevalence.nan_to_num(0.5).clamp(1e-6, 1 - 1e-6).logit()
        with torch.no_grad():
            return float(self(logits.expand_as(targets), targets))
