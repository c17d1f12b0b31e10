"""Samples to batches: which images each device gets, in which order, and from where a resumed run goes on."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, get_worker_info

from cxr_lightning.data.cache import ImageMap
from cxr_lightning.data.dataset import ChestXRayDataset, Sample
from cxr_lightning.utils.subprocesses import usable_cores


class EpochSampler(Sampler[int]):
    """A new random order every epoch, drawn from ``(seed, epoch)`` alone, of which each device takes its share.

    So a resumed run sees what an uninterrupted one would have seen. Lightning calls :meth:`set_epoch`. Together the
    devices take, batch by batch, what one device with batches of all of them would: only a rest of less than one image
    for each is left out, another one in every epoch.

    Args:
        size: Number of rows, N.
        seed: Draws the orders.
        rank: Number of this device.
        world_size: Of how many.
    """

    def __init__(self, size: int, seed: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.size = size
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.skipped_epoch, self.skipped = -1, 0
        """An epoch, and how many images are left out in front of it: those that were trained on already."""

    def __len__(self) -> int:
        return self.size // self.world_size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)[: len(self) * self.world_size]
        start = self.skipped if self.skipped_epoch == self.epoch else 0
        return iter(order[self.rank :: self.world_size][start:].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch


class Share(Sampler[int]):
    """One device's share of the rows, in order: every row is one device's, and none is repeated to even them out.

    Args:
        size: Number of rows.
        rank: Number of this device.
        world_size: Of how many.

    Example:
        >>> [list(Share(5, rank=rank, world_size=2)) for rank in (0, 1)]
        [[0, 2, 4], [1, 3]]
    """

    def __init__(self, size: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.rows = range(rank, size, world_size)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)


class ImageLoader(DataLoader[Sample]):
    """PyTorch's, which a resumed run goes on with where it was, if its order is an :class:`EpochSampler`'s.

    Lightning saves and loads its state. Made by :func:`image_loader`; the arguments are PyTorch's, for Lightning
    makes some loaders anew.
    """

    handed_over = 0
    """Batches of the epoch so far."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # nobody asks for more than an iterator
        # Begins with the first batch, not before: a loader process would start on the order of an earlier epoch.
        sampler, self.handed_over = self.sampler, 0
        if isinstance(sampler, EpochSampler) and sampler.skipped_epoch == sampler.epoch:
            self.handed_over = sampler.skipped // (self.batch_size or 1)
        for batch in super().__iter__():
            self.handed_over += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Where it is."""
        sampler = self.sampler
        devices, epoch = (sampler.world_size, sampler.epoch) if isinstance(sampler, EpochSampler) else (1, 0)
        return {"epoch": epoch, "batches": self.handed_over, "batch_size": self.batch_size or 1, "devices": devices}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another one was.

        Raises:
            ValueError: If it had batches of another size, or another number of devices.
        """
        for name in ("batch_size", "devices"):
            if state[name] != self.state_dict()[name]:
                raise ValueError(
                    f"Expected {name.replace('_', ' ')} {state[name]}, with which the checkpoint within an epoch was "
                    f"saved, but got {self.state_dict()[name]}. Go on with the same, or from the end of an epoch."
                )
        if isinstance(self.sampler, EpochSampler):
            self.sampler.skipped_epoch = state["epoch"]
            self.sampler.skipped = state["batches"] * state["batch_size"]


def image_loader(
    dataset: ChestXRayDataset, sampler: Sampler[int], batch_size: int, workers: int | None = None
) -> ImageLoader:
    """A loader of prepared or decoded images.

    Args:
        dataset: The images.
        sampler: Their order.
        batch_size: Images per batch.
        workers: Processes; None for none with prepared images, which are read faster than they are handed over, and
            else one less than the processor's cores, at most 8.
    """
    if workers is None:
        workers = 0 if isinstance(dataset.images, ImageMap) else max(0, min(8, usable_cores() - 1))
    size = len(sampler)  # type: ignore[arg-type]  # ours have one
    return ImageLoader(
        dataset,
        batch_size=min(batch_size, max(1, size)),
        sampler=sampler,
        # Batch normalisation cannot learn from a last batch of one image.
        drop_last=isinstance(sampler, EpochSampler) and size > 1 and size % batch_size == 1,
        num_workers=workers,
        collate_fn=hand_over,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Of its own: else the start of an epoch would draw from the one that dropout draws from.
        generator=torch.Generator().manual_seed(0),
    )


class _InTheMessage:
    """A small tensor that a loader process sends as numbers: by itself, each would cost a file descriptor."""

    def __init__(self, tensor: Tensor) -> None:
        self.array = tensor.numpy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Arrives as a tensor."""
        return torch.from_numpy, (self.array,)


def hand_over(batch: Any) -> Any:  # noqa: ANN401  # a loader's annotation says list
    """What a loader makes of a batch, which the dataset has stacked already."""
    if get_worker_info() is None:
        return batch
    return {name: value if name == "image" else _InTheMessage(value) for name, value in batch.items()}
