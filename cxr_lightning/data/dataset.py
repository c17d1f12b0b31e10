"""The dataset: images and targets of one split, to samples and batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cxr_lightning.imaging.reader import Interpolation, read_image, resize


class Sample(TypedDict):
    """What a loader yields, for one image or (stacked) for a batch."""

    image: Tensor
    """uint8, ``(1, S, S)`` or ``(B, 1, S, S)``."""
    target: Tensor
    """float32, ``(C,)`` or ``(B, C)``; 1 present, 0 absent, NaN unknown."""
    index: Tensor
    """int64, ``()`` or ``(B,)``; the row's number in the split's table."""
    draws: NotRequired[Tensor]
    """float32, ``(B, 7)``; random numbers of a training batch's augmentation."""


class ImageStore(Protocol):
    """Gray images of one size that are read by their numbers."""

    def __len__(self) -> int:
        """Number of images, N."""

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Read some of the images into a new array, ``(B, S, S)`` uint8."""


class ImageFiles:
    """Image files that are decoded and resized whenever they are read.

    Args:
        paths: The files.
        image_size: Side to resize to, in pixels, S.
        interpolation: How to resize.
        force: Decode DICOM files although their headers state that they are no chest radiographs.
    """

    def __init__(
        self, paths: Sequence[str], image_size: int, interpolation: Interpolation = "bilinear", *, force: bool = False
    ) -> None:
        self.paths = list(paths)
        self.image_size = image_size
        self.interpolation: Interpolation = interpolation
        self.force = force

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Decode images.

        Returns:
            ``(B, S, S)`` uint8.

        Raises:
            ImageRejectedError: If a file is no usable image.
        """
        decoded = [read_image(Path(self.paths[index]), force=self.force).pixels for index in indices]
        return np.stack([resize(pixels, self.image_size, self.interpolation) for pixels in decoded])


class ChestXRayDataset(Dataset[Sample]):
    """The images of one split; a loader fetches a batch at once.

    Args:
        images: The split's N images.
        targets: Ground truth, ``(N, C)`` float32; 1 present, 0 absent, NaN unknown.
    """

    def __init__(self, images: ImageStore, targets: NDArray[np.float32]) -> None:
        if len(images) != len(targets):
            raise ValueError(f"Expected targets of {len(images)} images but got {len(targets)}.")
        self.images = images
        self.targets = torch.from_numpy(targets.copy())

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample; raises the errors of ``images.read``."""
        batch = self.__getitems__([index])
        return {"image": batch["image"][0], "target": batch["target"][0], "index": batch["index"][0]}

    def sample_images(self, count: int, seed: int) -> Iterator[Tensor]:
        """Yield at most ``count`` images, drawn at random; each ``(1, S, S)`` uint8."""
        generator = torch.Generator().manual_seed(seed)
        for index in torch.randperm(len(self), generator=generator)[:count].tolist():
            yield self[index]["image"]

    def __getitems__(self, indices: list[int]) -> Sample:
        """Read a batch, stacked already; raises the errors of ``images.read``."""
        index = torch.tensor(indices)
        image = torch.from_numpy(self.images.read(indices))[:, None]
        return {"image": image, "target": self.targets[index], "index": index}
