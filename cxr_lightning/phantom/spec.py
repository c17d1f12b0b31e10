"""What a synthetic set is made from, and its random numbers."""

import zlib
from dataclasses import dataclass

import numpy as np

GENERATOR_VERSION = 1
"""Raised whenever the same spec would give other bytes; part of the folder's name."""

SMALLEST_IMAGE_SIZE = 64
SMALLEST_SPLITS = {"train_images": 60, "val_images": 20, "test_images": 40}
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class PhantomSpec:
    """The choices that determine every byte of a synthetic set.

    Training and validation images share one official list, as in NIH's release; who reads the set divides them
    by patient.

    Args:
        seed: Draws patients, labels and pictures; 0 to 2**32 - 1.
        train_images: Images meant for training, at least 60.
        val_images: Images meant for validation, at least 20.
        test_images: Images of the test list, at least 40.
        image_size: Height and width of the PNGs in pixels, at least 64.

    Raises:
        ValueError: If a number is below its minimum or the seed outside its range.

    Example:
        >>> PhantomSpec(seed=3).name
        'phantom-v1-seed3-1000-200-400-256px'
    """

    seed: int = 0
    train_images: int = 1000
    val_images: int = 200
    test_images: int = 400
    image_size: int = 256

    def __post_init__(self) -> None:
        _check_range("seed", self.seed, 0, LARGEST_SEED)
        _check_range("image_size", self.image_size, SMALLEST_IMAGE_SIZE, 4096)
        for name, smallest in SMALLEST_SPLITS.items():
            _check_range(name, getattr(self, name), smallest, 1_000_000)

    @property
    def name(self) -> str:
        """Folder name of the set: letters, digits and dashes only."""
        counts = f"{self.train_images}-{self.val_images}-{self.test_images}"
        return f"phantom-v{GENERATOR_VERSION}-seed{self.seed}-{counts}-{self.image_size}px"

    @property
    def train_val_images(self) -> int:
        """Images of the official training list."""
        return self.train_images + self.val_images


def random_stream(seed: int, *key: int | str) -> np.random.Generator:
    """An independent generator for one purpose, the same in every process and in any order of calls.

    Args:
        seed: The set's seed.
        key: What the numbers are for, such as a patient's number and the word ``"pose"``.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


def _check_range(name: str, value: int, smallest: int, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
        raise ValueError(
            f"Expected `{name}` of the synthetic set to be a whole number from {smallest} to {largest} "
            f"but got {value!r}. Set it within this range; every finding needs images to be learnt and tested."
        )
