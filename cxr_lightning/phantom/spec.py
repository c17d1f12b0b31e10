"""Specification of a synthetic set, and its random streams."""

import zlib
from dataclasses import dataclass

import numpy as np

GENERATOR_VERSION = 1
"""Version that increases whenever the same spec would give other bytes; part of the folder's name."""

_MIN_IMAGE_SIZE = 64
_MIN_SPLIT_IMAGES = {"train_images": 60, "val_images": 20, "test_images": 40}
_MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class PhantomSpec:
    """Choices that determine every byte of a synthetic set.

    Training and validation images share one official list, as in NIH's release; the reader of the set
    divides them by patient.

    Args:
        seed: Seed of patients, labels and images; 0 to 2**32 - 1.
        train_images: Number of training images, at least 60.
        val_images: Number of validation images, at least 20.
        test_images: Number of images in the test list, at least 40.
        image_size: Height and width of the PNGs in pixels, at least 64.

    Raises:
        ValueError: If a number is below its minimum or the seed is outside its range.

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
        _check_range("seed", self.seed, 0, _MAX_SEED)
        _check_range("image_size", self.image_size, _MIN_IMAGE_SIZE, 4096)
        for name, minimum in _MIN_SPLIT_IMAGES.items():
            _check_range(name, getattr(self, name), minimum, 1_000_000)

    @property
    def name(self) -> str:
        """Folder name of the set: letters, digits and dashes only."""
        counts = f"{self.train_images}-{self.val_images}-{self.test_images}"
        return f"phantom-v{GENERATOR_VERSION}-seed{self.seed}-{counts}-{self.image_size}px"

    @property
    def train_val_images(self) -> int:
        """Number of images in the official training-and-validation list."""
        return self.train_images + self.val_images


def random_stream(seed: int, *key: int | str) -> np.random.Generator:
    """Independent random generator for one purpose, the same in every process and in any order of calls.

    Args:
        seed: Seed of the set.
        key: Purpose of the numbers, such as a patient's number and the word ``"pose"``.
    """
    entropy = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *entropy])))


def _check_range(name: str, value: int, minimum: int, maximum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise ValueError(
            f"Expected `{name}` of the synthetic set to be a whole number from {minimum} to {maximum} "
            f"but got {value!r}. Set it within this range; every finding needs images to be learned and tested."
        )
