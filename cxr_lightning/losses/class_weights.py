"""Class weights of a training set: weights on the positives and negatives of each label."""

import torch
from torch import Tensor


def class_weights(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights with which a label's positives and negatives add the same to the loss.

    The positive weight is the fraction of negatives and the reverse; unknown (NaN)
    targets are not counted. A label without positives or without negatives cannot be
    learned; both of its weights are 0.

    Args:
        targets: Ground truth, ``(N, C)``; 1 present, 0 absent, NaN unknown.

    Returns:
        Positive and negative weights, each ``(C,)`` float32 in [0, 1], summing to 1 or 0.

    Raises:
        ValueError: If no label has positives and negatives.

    References:
        Rajpurkar et al., "CheXNet", 2017, section 2.1.

    Example:
        >>> class_weights(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
        (tensor([0.7500]), tensor([0.2500]))
    """
    positives, known = _count_positives_and_known(targets)
    trained = trained_columns(targets)
    frequency = (positives / known).float()
    return torch.where(trained, 1 - frequency, 0.0), torch.where(trained, frequency, 0.0)


def positive_weights(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights as by PyTorch's ``pos_weight``: negatives per positive, and 1 for the negatives.

    A label without positives or without negatives cannot be learned; both of its weights are 0.

    Args:
        targets: Ground truth, ``(N, C)``; 1 present, 0 absent, NaN unknown.

    Returns:
        Positive and negative weights, each ``(C,)`` float32.

    Raises:
        ValueError: If no label has positives and negatives.

    Example:
        >>> positive_weights(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
        (tensor([3.]), tensor([1.]))
    """
    positives, known = _count_positives_and_known(targets)
    trained = trained_columns(targets)
    ratio = torch.where(trained, (known - positives) / positives.clamp(min=1), 0.0).float()
    return ratio, trained.float()


def trained_columns(targets: Tensor) -> Tensor:
    """Whether each label has positives and negatives, so that it can be learned, ``(C,)`` bool.

    Args:
        targets: Ground truth of the training set, ``(N, C)``; 1, 0 or NaN (unknown).

    Raises:
        ValueError: If no label has both.
    """
    trained = (targets == 1).any(dim=0) & (targets == 0).any(dim=0)
    if not trained.any():
        raise ValueError(
            f"Expected a label with positives and negatives among the {len(targets)} training images but none of the "
            f"{targets.shape[1]} labels has both. Check the label file and `data.labels`."
        )
    return trained


def _count_positives_and_known(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Count positives and known targets of each label in float64: float32 stops counting at 2**24."""
    return targets.nan_to_num(0.0).sum(dim=0, dtype=torch.float64), (~targets.isnan()).sum(dim=0).double()
