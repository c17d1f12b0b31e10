"""Training transforms of a batch in one operation, each sample with parameters of its own.

The parameters are drawn from ``(seed, epoch, index)``: neither the batch's make-up, nor the number of loader
processes, nor a resumed run changes what happens to an image. Nothing is mirrored: that would move the heart to
the other side.
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
        rotation: Degrees.
        shift: Share of the image's side, along either axis.
        scale: Share of the size.
        brightness: Share of the full range, added.
        contrast: Share of the deviations from the image's mean.
        flip: Probability of mirroring left and right; 0 for chest radiographs unless you know why.
    """

    rotation: float = 7.0
    shift: float = 0.04
    scale: float = 0.1
    brightness: float = 0.08
    contrast: float = 0.15
    flip: float = 0.0

    def __post_init__(self) -> None:
        # A scale or contrast of 1 could leave nothing of the picture.
        limits = {"rotation": 180, "shift": 1, "scale": 0.9, "brightness": 1, "contrast": 0.9, "flip": 1}
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"Expected `{name}` of the augmentation in [0, {most}] but got {getattr(self, name)}.")

    def draw(self, indices: Tensor, *, seed: int, epoch: int) -> Tensor:
        """What a batch's changes are computed from.

        Args:
            indices: ``(B,)``, the samples' row numbers; in the processor's memory, for reading numbers back from
                another device would have to wait for it.
            seed: The run's seed.
            epoch: The epoch's number, from 0.

        Returns:
            ``(B, 7)`` float32 in [-1, 1).
        """
        return torch.from_numpy(draw_uniform(indices.tolist(), seed=seed, epoch=epoch, count=7))

    def __call__(self, images: Tensor, unit: Tensor) -> Tensor:
        """Transform a batch.

        Args:
            images: ``(B, 1, S, S)`` uint8.
            unit: ``(B, 7)``, from :meth:`draw`, on the same device.

        Returns:
            ``(B, 1, S, S)`` float32 in [0, 255]; what comes in from outside the picture is black before brightness
            and contrast are changed.
        """
        moved = self._move(images.float(), unit)
        mean = moved.mean(dim=(1, 2, 3), keepdim=True)
        gain = 1 + self.contrast * unit[:, 4].view(-1, 1, 1, 1)
        offset = 255 * self.brightness * unit[:, 5].view(-1, 1, 1, 1)
        return (mean + gain * (moved - mean) + offset).clamp(0, 255)

    def _move(self, images: Tensor, unit: Tensor) -> Tensor:
        angle = torch.deg2rad(self.rotation * unit[:, 0])
        size = 1 / (1 + self.scale * unit[:, 1])
        mirror = torch.where((unit[:, 6] + 1) / 2 < self.flip, -1.0, 1.0)
        cosine, sine = size * angle.cos(), size * angle.sin()
        shift = 2 * self.shift * unit[:, 2:4]  # the grid spans [-1, 1]
        rows = (
            torch.stack([mirror * cosine, -sine, shift[:, 0]], 1),
            torch.stack([mirror * sine, cosine, shift[:, 1]], 1),
        )
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def draw_uniform(indices: Sequence[int], *, seed: int, epoch: int, count: int) -> NDArray[np.float32]:
    """Numbers in [-1, 1) that depend on nothing but seed, epoch and index.

    Returns:
        ``(B, count)`` float32.
    """
    draws = np.empty((len(indices), count), dtype=np.float32)
    for row, index in enumerate(indices):
        # Philox is a counter-based generator: the counter names the stream, there is no state to carry.
        bits = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, index])
        draws[row] = np.random.Generator(bits).uniform(-1, 1, count)
    return draws
