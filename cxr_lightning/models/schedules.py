"""Learning-rate schedules that need to know the number of steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine(optimizer: Optimizer, total_steps: int, *, warmup: float = 0.1) -> LambdaLR:
    """Linear warmup to the optimizer's learning rate, then a cosine decay to 0.

    A run that is resumed with more epochs follows the longer run's curve.

    Args:
        optimizer: The optimizer, whose ``lr`` is the peak.
        total_steps: Number of steps of the whole run.
        warmup: Fraction of the steps in the warmup.

    Raises:
        ValueError: If the fraction is not in [0, 1].

    References:
        Loshchilov and Hutter, "SGDR", 2017, without restarts; Goyal et al., "Accurate, large minibatch SGD", 2017.
    """
    if not 0 <= warmup <= 1:
        raise ValueError(f"Expected `scheduler.warmup` in [0, 1] but got {warmup}.")
    warmup_steps = max(1, round(warmup * total_steps))

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))))

    return LambdaLR(optimizer, factor)
