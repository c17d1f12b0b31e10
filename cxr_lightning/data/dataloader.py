"""Samples to batches: which images each device gets, in which order, and where a resumed run starts."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, get_worker_info

from cxr_lightning.data.cache import ImageMap
from cxr_lightning.data.dataset import ChestXRayDataset, Sample
from cxr_lightning.utils.subprocesses import usable_cores
from cxr_lightning.utils.typed_values import Count, TypedValues, describe_errors


class EpochSampler(Sampler[int]):
    """A new random order every epoch, drawn from ``(seed, epoch)`` alone, of which each device takes its part.

    So a resumed run sees what an uninterrupted one would have seen. Lightning calls :meth:`set_epoch`. Together the
    devices see, batch by batch, the images that one device with batches of the total size would see; only a remainder
    of less than one image per device is dropped, a different one in every epoch.

    Args:
        size: Number of rows, N.
        seed: Draws the orders.
        rank: Number of this device.
        world_size: Number of devices.
    """

    def __init__(self, size: int, seed: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.size = size
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.resumed_epoch, self.resumed_images = -1, 0
        """The epoch in which a resumed run starts, and how many of its first images were trained on already."""

    def __len__(self) -> int:
        return self.size // self.world_size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)[: len(self) * self.world_size]
        start = self.resumed_images if self.resumed_epoch == self.epoch else 0
        return iter(order[self.rank :: self.world_size][start:].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order the next iteration yields."""
        self.epoch = epoch


class DistributedShardSampler(Sampler[int]):
    """One device's part of the rows, in order: every row is on one device, and none is repeated to pad the last batch.

    Args:
        size: Number of rows.
        rank: Number of this device.
        world_size: Number of devices.

    Example:
        >>> [list(DistributedShardSampler(5, rank=rank, world_size=2)) for rank in (0, 1)]
        [[0, 2, 4], [1, 3]]
    """

    def __init__(self, size: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.rows = range(rank, size, world_size)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)


class ImageLoader(DataLoader[Sample]):
    """PyTorch's loader, whose position within an epoch a resumed run restores if its sampler is :class:`EpochSampler`.

    Lightning saves and loads its state. Built by :func:`build_image_loader`; the constructor's arguments are PyTorch's,
    because Lightning rebuilds some loaders.
    """

    num_yielded = 0
    """Number of batches of the epoch so far."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # Lightning needs no more than an iterator
        # A generator: started earlier than the first batch, loader processes would read the order of an earlier epoch.
        sampler, self.num_yielded = self.sampler, 0
        if isinstance(sampler, EpochSampler) and sampler.resumed_epoch == sampler.epoch:
            self.num_yielded = sampler.resumed_images // (self.batch_size or 1)
        for batch in super().__iter__():
            self.num_yielded += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Position within the epoch, and the settings that it depends on."""
        sampler = self.sampler
        devices, epoch = (sampler.world_size, sampler.epoch) if isinstance(sampler, EpochSampler) else (1, 0)
        return {"epoch": epoch, "batches": self.num_yielded, "batch_size": self.batch_size or 1, "devices": devices}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Resume from the position of another loader.

        Raises:
            ValueError: If it is no position, or that loader had another batch size or number of devices.
        """
        _check_position(state)
        for name in ("batch_size", "devices"):
            if state[name] != self.state_dict()[name]:
                raise ValueError(
                    f"Expected {name.replace('_', ' ')} {state[name]}, with which the checkpoint within an epoch was "
                    f"saved, but got {self.state_dict()[name]}. Go on with the same, or from the end of an epoch."
                )
        if isinstance(self.sampler, EpochSampler):
            self.sampler.resumed_epoch = state["epoch"]
            self.sampler.resumed_images = state["batches"] * state["batch_size"]


class _Position(TypedValues):
    """Position of a loader within an epoch."""

    epoch: Count
    batches: Count
    batch_size: Annotated[int, Field(ge=1)]
    devices: Annotated[int, Field(ge=1)]


def _check_position(state: object) -> None:
    try:
        _Position.model_validate(state)
    except ValidationError as error:
        raise ValueError(
            f"Expected the position within an epoch in the checkpoint but {describe_errors(error)}. Copy it again."
        ) from error


def build_image_loader(
    dataset: ChestXRayDataset, sampler: Sampler[int], batch_size: int, workers: int | None = None
) -> ImageLoader:
    """Build the loader of a dataset.

    Args:
        dataset: The images.
        sampler: Their order.
        batch_size: Images per batch.
        workers: Number of processes; None for none with prepared images, which are read faster than they are sent
            between processes, and else one less than the processor's cores, at most 8.
    """
    if workers is None:
        workers = 0 if isinstance(dataset.images, ImageMap) else max(0, min(8, usable_cores() - 1))
    size = len(sampler)  # type: ignore[arg-type]  # our samplers have a length
    return ImageLoader(
        dataset,
        batch_size=min(batch_size, max(1, size)),
        sampler=sampler,
        # Batch normalization cannot learn from a last batch of one image.
        drop_last=isinstance(sampler, EpochSampler) and size > 1 and size % batch_size == 1,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Separate: otherwise the start of an epoch would draw from the global generator, which dropout uses.
        generator=torch.Generator().manual_seed(0),
    )


class _TensorByValue:
    """A small tensor that a loader process sends as plain bytes; sent as a tensor it would cost a file descriptor."""

    def __init__(self, tensor: Tensor) -> None:
        self.array = tensor.numpy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Unpickle to a tensor."""
        return torch.from_numpy, (self.array,)


def collate(batch: Any) -> Any:  # noqa: ANN401  # a loader's annotation says list
    """Pass on a batch that the dataset has stacked already; from a loader process, small tensors by value."""
    if get_worker_info() is None:
        return batch
    return {name: value if name == "image" else _TensorByValue(value) for name, value in batch.items()}
