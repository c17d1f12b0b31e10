"""Learning rates at the steps where they can be worked by hand."""

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cxr_lightning.models.schedules import cosine

PEAK = 0.01


@pytest.fixture
def optimizer() -> Optimizer:
    return torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=PEAK)


def rates(optimizer: Optimizer, schedule: LRScheduler, steps: int) -> list[float]:
    """The rate of each step, then the one after the last: Lightning steps the schedule once more."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_cosine_rises_linearly_and_falls_along_half_a_cosine(optimizer: Optimizer) -> None:
    found = rates(optimizer, cosine(optimizer, 100, warmup=0.2), 100)
    assert found[:20] == pytest.approx([PEAK * (step + 1) / 20 for step in range(20)])
    assert found[20] == pytest.approx(PEAK) == max(found)
    assert found[60] == pytest.approx(PEAK / 2)  # half way from step 20 to 100
    assert found[40] == pytest.approx(PEAK * (2 + 2**0.5) / 4)  # a quarter of the way: (1 + cos 45) / 2
    assert found[100] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_positive_rates_up_to_the_peak(optimizer: Optimizer, steps: int) -> None:
    found = rates(optimizer, cosine(optimizer, steps), steps)[:steps]
    assert all(0 < rate <= PEAK * (1 + 1e-9) for rate in found)


def test_without_warmup_cosine_starts_at_the_peak(optimizer: Optimizer) -> None:
    assert rates(optimizer, cosine(optimizer, 10, warmup=0.0), 3)[0] == pytest.approx(PEAK)


def test_the_rate_stays_at_nothing_after_the_last_step(optimizer: Optimizer) -> None:
    assert rates(optimizer, cosine(optimizer, 5), 9)[5:] == [0.0] * 5


def test_a_share_above_one_is_refused(optimizer: Optimizer) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\] but got 2"):
        cosine(optimizer, 5, warmup=2)
