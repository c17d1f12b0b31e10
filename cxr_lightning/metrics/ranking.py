"""AUROC that says NaN where it is not defined."""

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MultilabelAUROC
from torchmetrics.utilities import dim_zero_cat

_UNKNOWN = -1


class LabelAUROC(MultilabelAUROC):
    """Exact AUROC of each label; NaN for a label without a known positive and a known negative.

    torchmetrics scores such a label 0.0. It also wants at least two labels; a single one gets a companion
    without known targets.

    Args:
        num_labels: C.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(max(2, num_labels), average=None, thresholds=None, ignore_index=_UNKNOWN)
        self.num_columns = num_labels

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            probabilities: ``(B, C)`` in [0, 1].
            targets: ``(B, C)``; 1, 0 or NaN (unknown).

        Raises:
            ValueError: If a probability is not in [0, 1], NaN included.
        """
        if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
            raise ValueError("Expected probabilities in [0, 1] but some are not (NaN or logits?). Check the network.")
        known = targets.nan_to_num(float(_UNKNOWN)).long()
        padding = (0, self.num_labels - self.num_columns)
        super().update(F.pad(probabilities, padding), F.pad(known, padding, value=_UNKNOWN))

    def compute(self) -> Tensor:  # type: ignore[override]  # one tensor: there is no average
        """AUROC of each label, ``(C,)`` float32."""
        targets = dim_zero_cat(self.target)
        defined = (targets == 1).any(dim=0) & (targets == 0).any(dim=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No (positive|negative) samples in targets")
            values = super().compute()
        return torch.where(defined, values, torch.nan)[: self.num_columns]


def macro(values: Mapping[str, float]) -> tuple[float, int]:
    """The mean over defined labels, and how many they are; NaN if there are none.

    Example:
        >>> macro({"Edema": 0.8, "Hernia": float("nan"), "Mass": 0.6})
        (0.7, 2)
    """
    defined = [value for value in values.values() if not math.isnan(value)]
    return (math.fsum(defined) / len(defined) if defined else math.nan), len(defined)
