"""The order of images is decided by (seed, epoch); devices share it without repeats; a loader goes on where it was."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.data.loading import EpochSampler


@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.integers(0, 1000))
@settings(max_examples=25)
def test_every_epoch_is_a_permutation_that_seed_and_epoch_repeat(size: int, seed: int, epoch: int) -> None:
    first, second = EpochSampler(size, seed), EpochSampler(size, seed)
    first.set_epoch(epoch)
    order = list(first)
    assert sorted(order) == list(range(size))
    list(second)  # what was drawn before does not matter
    second.set_epoch(epoch)
    assert list(second) == order == list(first)
    assert len(first) == size


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = set()
    for seed in range(3):
        sampler = EpochSampler(50, seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
    assert len(orders) == 9
