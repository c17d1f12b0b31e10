"""Learning-rate schedules that need to know the number of steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


def one_cycle(optimizer: Optimizer, total_steps: int, *, warmup: float = 0.3) -> OneCycleLR:
    """Rise from 1/25 of the optimizer's rate to it, then fall to almost nothing.

    Args:
        optimizer: Its ``lr`` is the peak.
        total_steps: Of the whole run.
        warmup: Share of the steps that rise.

    References:
        Smith and Topin, "Super-convergence", 2018.
    """
    peak = [group["lr"] for group in optimizer.param_groups]
    # Without momentum cycling: Adam's betas stay what the optimizer says.
    return OneCycleLR(optimizer, peak, total_steps=total_steps, pct_start=warmup, cycle_momentum=False)


def cosine(optimizer: Optimizer, total_steps: int, *, warmup: float = 0.05) -> LambdaLR:
    """Rise linearly from 0 to the optimizer's rate, then fall to 0 along half a cosine.

    Args:
        optimizer: Its ``lr`` is the peak.
        total_steps: Of the whole run.
        warmup: Share of the steps that rise.
    """
    rising = max(1, round(warmup * total_steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, total_steps - rising))))

    return LambdaLR(optimizer, factor)
