"""Normalization of gray pixels for the backbone; its statistics are buffers, so they are in every checkpoint."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cxr_lightning.models.settings_model import Mode
from cxr_lightning.utils.validation import check_choice

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_STD_EPSILON = 1e-6


class Preprocess(nn.Module):
    """Normalize gray pixels and expand them to three channels.

    Args:
        mode: ``imagenet`` (each channel by ImageNet's mean and standard deviation, pixels in [0, 1]),
            ``featurewise`` (by a given mean and standard deviation), ``samplewise`` (by each image's own) or
            ``none`` (pixels in [0, 1]).
        mean: Mean of the training pixels in [0, 255], with ``featurewise``.
        std: Standard deviation of the training pixels in [0, 255], with ``featurewise``.

    Raises:
        ValueError: If the mode is unknown, or ``featurewise`` comes without usable statistics.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mode: Mode = "imagenet", *, mean: float | None = None, std: float | None = None) -> None:
        super().__init__()
        self.mode: Mode = check_choice("preprocessing", mode, Mode)
        # All statistics are in [0, 1], the scale of the pixels when they are applied.
        if mode == "imagenet":
            means, stds = _IMAGENET_MEAN, _IMAGENET_STD
        elif mode == "featurewise":
            if mean is None or std is None or not (0 <= mean <= 255 and 0 < std <= 255):
                raise ValueError(
                    "Expected the training images' mean in [0, 255] and a positive standard deviation for featurewise "
                    f"preprocessing but got {mean} and {std}. Compute them with `featurewise_statistics`."
                )
            means, stds = (mean / 255,) * 3, (std / 255,) * 3
        else:
            means, stds = (0.0,) * 3, (1.0,) * 3
        self.register_buffer("mean", torch.tensor(means).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(stds).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize a batch.

        Args:
            images: ``(B, 1, H, W)`` uint8, or float in [0, 255].

        Returns:
            ``(B, 3, H, W)`` float32.
        """
        pixels = images.float() / 255
        if self.mode == "samplewise":
            deviation, average = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True, correction=0)
            pixels = (pixels - average) / (deviation + _STD_EPSILON)
        return (pixels.expand(-1, 3, -1, -1) - self.mean) / self.std


def featurewise_statistics(images: Iterable[Tensor]) -> tuple[float, float]:
    """Mean and standard deviation of all pixels.

    Args:
        images: Arrays of uint8 pixels, any shape.

    Returns:
        Both in [0, 255].

    Raises:
        ValueError: If there are no pixels, or all are the same.

    Example:
        >>> featurewise_statistics([torch.tensor([0, 100]), torch.tensor([200, 100])])
        (100.0, 70.71067811865476)
    """
    count, total, squares = 0, 0, 0  # integers: exact whatever the number of images
    for image in images:
        values = image.long()
        count += values.numel()
        total += int(values.sum())
        squares += int((values * values).sum())
    if count == 0 or count * squares == total * total:
        raise ValueError(f"Expected pixels of differing values but got {count} pixels. Check the images.")
    return total / count, math.sqrt(count * squares - total * total) / count
