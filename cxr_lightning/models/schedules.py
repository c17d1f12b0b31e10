"""Learning-rate schedules that need to know the number of steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine(optimizer: Optimizer, total_steps: int, *, warmup: float = 0.1) -> LambdaLR:
    """Rise in equal steps to the optimizer's rate, then fall to 0 along half a cosine, and stay there.

    A run that is resumed with more epochs goes on along the longer run's curve.

    Args:
        optimizer: Its ``lr`` is the peak.
        total_steps: Of the whole run.
        warmup: Share of the steps that rise.

    Raises:
        ValueError: If the share is not in [0, 1].

    References:
        Loshchilov and Hutter, "SGDR", 2017, without restarts; Goyal et al., "Accurate, large minibatch SGD", 2017.
    """
    if not 0 <= warmup <= 1:
        raise ValueError(f"Expected `scheduler.warmup` in [0, 1] but got {warmup}.")
    rising = max(1, round(warmup * total_steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, total_steps - rising))))

    return LambdaLR(optimizer, factor)
