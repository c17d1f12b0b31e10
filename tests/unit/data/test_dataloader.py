"""The order of images depends on (seed, epoch); devices divide it without repeats; a loader resumes where it was."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cxr_lightning.data.dataloader import DistributedShardSampler, EpochSampler, ImageLoader, build_image_loader
from cxr_lightning.data.dataset import ChestXRayDataset


class Plain:
    """Images of one pixel, the k-th of value k."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        return np.array(indices, np.uint8)[:, None, None]


def loader_of(count: int, batch_size: int, workers: int = 0, **device: int) -> ImageLoader:
    dataset = ChestXRayDataset(Plain(count), np.zeros((count, 1), np.float32))
    return build_image_loader(dataset, EpochSampler(count, 3, **device), batch_size, workers)


def batches(loader: ImageLoader, epoch: int) -> list[list[int]]:
    sampler = loader.sampler
    assert isinstance(sampler, EpochSampler)
    sampler.set_epoch(epoch)
    return [batch["index"].tolist() for batch in loader]


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


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=50)
def test_devices_together_see_what_one_sees_in_batches_of_all(size: int, world_size: int, batch_size: int) -> None:
    samplers = [EpochSampler(size, 7, rank=rank, world_size=world_size) for rank in range(world_size)]
    orders = [list(sampler) for sampler in samplers]
    whole = list(EpochSampler(size, 7))
    assert [len(order) for order in orders] == [size // world_size] * world_size == [len(s) for s in samplers]
    step = batch_size * world_size
    for start in range(0, size - size % world_size, step):
        part = slice(start // world_size, start // world_size + batch_size)
        seen = [index for order in orders for index in order[part]]
        assert sorted(seen) == sorted(whole[: size - size % world_size][start : start + step])


@given(st.integers(0, 60), st.integers(1, 5))
def test_every_row_is_one_devices(size: int, world_size: int) -> None:
    shards = [list(DistributedShardSampler(size, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert sorted(row for shard in shards for row in shard) == list(range(size))
    assert [len(DistributedShardSampler(size, rank=rank, world_size=world_size)) for rank in range(world_size)] == [
        *map(len, shards)
    ]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2])
def test_a_loader_continues_where_another_was(workers: int, world_size: int) -> None:
    device = {"rank": world_size - 1, "world_size": world_size}
    whole = loader_of(40, 4, **device)
    expected = {epoch: batches(whole, epoch) for epoch in (1, 2, 3)}
    first = loader_of(40, 4, workers, **device)
    sampler = first.sampler
    assert isinstance(sampler, EpochSampler)
    sampler.set_epoch(2)
    running = iter(first)
    for _ in range(3):
        next(running)
    second = loader_of(40, 4, workers, **device)
    second.load_state_dict(first.state_dict())
    assert len(second) == len(whole)
    assert batches(second, 2) == expected[2][3:]
    assert second.state_dict()["batches"] == len(expected[2])
    assert batches(second, 3) == expected[3]  # only that epoch has begun already


def test_a_position_in_batches_of_another_size_is_refused() -> None:
    state = loader_of(40, 4).state_dict()
    with pytest.raises(ValueError, match=r"Expected batch size 4, with which .* but got 8"):
        loader_of(40, 8).load_state_dict(state)
    with pytest.raises(ValueError, match=r"Expected devices 1, with which .* but got 2"):
        loader_of(40, 4, rank=1, world_size=2).load_state_dict(state)
