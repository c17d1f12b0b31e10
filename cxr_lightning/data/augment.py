"""Training transforms of a batch in one operation, with separate parameters for each sample.

The parameters are drawn from ``(seed, epoch, index)``: neither the batch's composition, nor the number of loader
processes, nor a resumed run changes how an image is transformed. By default nothing is mirrored: that would move the
heart to the other side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Mild geometric and photometric changes; each value is drawn uniformly within plus or minus its limit.

    Args:
        rotation: Angle in degrees.
        shift: Shift along either axis, as a fraction of the image's side.
        scale: Change of the size, as a fraction of it.
        brightness: Offset, as a fraction of the full range.
        contrast: Change of the deviations from the image's mean, as a fraction of them.
        flip: Probability of mirroring left and right; 0 for chest radiographs unless you know why.
    """

    rotation: float = 7.0
    shift: float = 0.04
    scale: float = 0.1
    brightness: float = 0.08
    contrast: float = 0.15
    flip: float = 0.0

    def __post_init__(self) -> None:
        # A scale or contrast of 1 could remove all content of the image.
        limits = {"rotation": 180, "shift": 1, "scale": 0.9, "brightness": 1, "contrast": 0.9, "flip": 1}
        for name, maximum in limits.items():
            if not 0 <= getattr(self, name) <= maximum:
                raise ValueError(
                    f"Expected `{name}` of the augmentation in [0, {maximum}] but got {getattr(self, name)}."
                )

    def draw(self, indices: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Draw the random numbers that a batch's transforms are computed from.

        Args:
            indices: ``(B,)``, the samples' row numbers; on the CPU, because reading them back from a GPU would wait for
                it.
            seed: The run's seed.
            epoch: The epoch's number, from 0.

        Returns:
            ``(B, 7)`` float32 in [-1, 1).
        """
        return torch.from_numpy(draw_uniform(indices.tolist(), seed=seed, epoch=epoch, count=7))

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Transform a batch.

        Args:
            images: ``(B, 1, S, S)`` uint8.
            draws: ``(B, 7)``, from :meth:`draw`, on the same device.

        Returns:
            ``(B, 1, S, S)`` float32 in [0, 255]; areas from outside the image are black before brightness and
            contrast are changed.
        """
        warped = self._warp(images.float(), draws)
        mean = warped.mean(dim=(1, 2, 3), keepdim=True)
        gain = 1 + self.contrast * draws[:, 4].view(-1, 1, 1, 1)
        offset = 255 * self.brightness * draws[:, 5].view(-1, 1, 1, 1)
        return (mean + gain * (warped - mean) + offset).clamp(0, 255)

    def _warp(self, images: Tensor, draws: Tensor) -> Tensor:
        angle = torch.deg2rad(self.rotation * draws[:, 0])
        size = 1 / (1 + self.scale * draws[:, 1])
        mirror = torch.where((draws[:, 6] + 1) / 2 < self.flip, -1.0, 1.0)
        cosine, sine = size * angle.cos(), size * angle.sin()
        shift = 2 * self.shift * draws[:, 2:4]  # the grid spans [-1, 1]
        rows = (
            torch.stack([mirror * cosine, -sine, shift[:, 0]], 1),
            torch.stack([mirror * sine, cosine, shift[:, 1]], 1),
        )
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def draw_uniform(indices: Sequence[int], *, seed: int, epoch: int, count: int) -> NDArray[np.float32]:
    """Draw numbers in [-1, 1) that depend on nothing but seed, epoch and index.

    Returns:
        ``(B, count)`` float32.
    """
    draws = np.empty((len(indices), count), dtype=np.float32)
    for row, index in enumerate(indices):
        # Philox is a counter-based generator: the counter names the stream, there is no state to carry.
        bits = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, index])
        draws[row] = np.random.Generator(bits).uniform(-1, 1, count)
    return draws
