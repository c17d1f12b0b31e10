"""One row of the table to one sample."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from cxr_lightning.data.images import Interpolation, read_grey, resize
from cxr_lightning.data.manifest import targets_of


class Sample(TypedDict):
    """What the loader gives, for one image or (stacked) for a batch."""

    image: Tensor
    """uint8, ``(1, S, S)`` or ``(B, 1, S, S)``."""
    target: Tensor
    """float32, ``(C,)`` or ``(B, C)``; 1 present, 0 absent, NaN unknown."""
    index: Tensor
    """int64, the row's number in the split's table."""


class ChestXRayDataset(Dataset[Sample]):
    """The images of one split.

    Args:
        table: Rows with ``path`` and one column per label.
        labels: Label columns, in output order.
        image_size: Side to resize to, in pixels, S.
        interpolation: How to resize.
    """

    def __init__(
        self, table: pd.DataFrame, labels: Sequence[str], image_size: int, interpolation: Interpolation = "bilinear"
    ) -> None:
        self.table = table.reset_index(drop=True)
        self.targets = torch.from_numpy(targets_of(self.table, labels).copy())
        self.image_size = image_size
        self.interpolation: Interpolation = interpolation
        self._paths = [Path(path) for path in self.table["path"]]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        """The sample of one row.

        Raises:
            ImageRejectedError: If the file is no usable image.
        """
        pixels = resize(read_grey(self._paths[index]), self.image_size, self.interpolation)
        return {
            "image": torch.from_numpy(pixels.copy())[None],
            "target": self.targets[index],
            "index": torch.tensor(index),
        }


class EpochSampler(Sampler[int]):
    """A new random order every epoch, drawn from ``(seed, epoch)`` alone.

    So a resumed run sees what an uninterrupted one would have seen. Lightning calls :meth:`set_epoch`.

    Args:
        size: Number of rows, N.
        seed: Draws the orders.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return iter(torch.randperm(self.size, generator=generator).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch
