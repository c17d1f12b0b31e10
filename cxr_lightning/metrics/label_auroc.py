"""AUROC accumulated batch by batch during training and testing; NaN where it is undefined."""

import math

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.utilities import dim_zero_cat


class LabelAUROC(Metric):
    """Exact AUROC of each label; NaN for a label without a known positive and a known negative.

    torchmetrics' multilabel AUROC gives such a label 0.0, fails for a label without known targets and requires at
    least two labels; so its binary AUROC computes each label.

    Args:
        num_labels: Number of labels, C.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            probabilities: ``(B, C)`` in [0, 1].
            targets: ``(B, C)``; 1, 0 or NaN (unknown).

        Raises:
            ValueError: If a probability is not in [0, 1], NaN included, or the shapes are wrong.
        """
        if not probabilities.shape == targets.shape == (len(targets), self.num_labels):
            raise ValueError(
                f"Expected probabilities and targets of {self.num_labels} labels but got shapes "
                f"{tuple(probabilities.shape)} and {tuple(targets.shape)}. Check the network's number of outputs."
            )
        if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
            raise ValueError("Expected probabilities in [0, 1] but some are not (NaN or logits?). Check the network.")
        self.probabilities.append(probabilities.detach())
        self.targets.append(targets)

    def compute(self) -> list[float]:
        """Compute AUROC of each label: C numbers, not a tensor, which torchmetrics would squeeze for a single label."""
        columns = zip(dim_zero_cat(self.probabilities).T, dim_zero_cat(self.targets).T, strict=True)
        return [_auroc(probabilities, targets) for probabilities, targets in columns]


def _auroc(probabilities: Tensor, targets: Tensor) -> float:
    """AUROC of one label from two ``(N,)`` tensors; NaN without a positive or without a negative."""
    if not ((targets == 1).any() and (targets == 0).any()):
        return math.nan
    known = ~targets.isnan()
    auroc = float(binary_auroc(probabilities[known].float(), targets[known].long()))
    return min(auroc, 1.0)  # it sums in float32, up to 1.0000001
