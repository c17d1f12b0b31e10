"""Pictures in which the program sees a chest radiograph: an average chest, and noise that makes each one its own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.imaging.quality_flags import AVERAGE_CHEST
from cxr_lightning.imaging.reader import resize


def film(number: int, size: int = 64) -> NDArray[np.uint8]:
    """An image without quality flags, ``(size, size)``; another one for every number."""
    chest = resize(AVERAGE_CHEST.astype(np.uint8), size, "bilinear")
    return chest + np.random.default_rng(number).integers(0, 20, chest.shape, dtype=np.uint8)


def write_films(folder: Path, count: int) -> list[str]:
    """Write films into a new folder, and return their names."""
    folder.mkdir(parents=True)
    names = [f"{number:02d}.png" for number in range(count)]
    for number, name in enumerate(names):
        Image.fromarray(film(number)).save(folder / name)
    return names
