"""Class weights of a training set: weights on the positives and negatives of each label."""

import torch
from torch import Tensor


def class_weights(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights with which a label's positives and negatives add the same to the loss.

    The positive weight is the fraction of negatives and the reverse; unknown (NaN)
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
    positives, known = _count_positives_and_known(targets)
    frequency = (positives / known).float()
    return 1 - frequency, frequency


def positive_weights(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights as by PyTorch's ``pos_weight``: negatives per positive, and 1 for the negatives.

    A label without positives gets the weight 1.

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
    positives, known = _count_positives_and_known(targets)
    ratio = torch.where(positives > 0, (known - positives) / positives.clamp(min=1), 1.0).float()
    return ratio, torch.ones_like(ratio)


def _count_positives_and_known(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Count positives and known targets of each label in float64: float32 stops counting at 2**24."""
    known = (~targets.isnan()).sum(dim=0).double()
    if (known == 0).any():
        columns = (known == 0).nonzero().flatten().tolist()
        raise ValueError(
            f"Expected a known target for every label but columns {columns[:5]} hold none. "
            "Leave these labels out of `data.labels`."
        )
    return targets.nan_to_num(0.0).sum(dim=0, dtype=torch.float64), known
