"""Data sets for benchmarks: NIH's layout, its number of images, and hardly any disk: many names for few files."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_lightning.data.datasets.nih import BOX_LIST, SPLIT_LISTS
from cxr_lightning.labels import NIH_LABELS

FULL = (86_524, 25_596)
"""Images of NIH's official lists: for training and validation, and for testing."""
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
_FILES = 64
_PER_PATIENT = 4


def make_nih(folder: Path, images: tuple[int, int] = FULL, *, side: int = 64, seed: int = 0) -> Path:
    """Write random pictures and findings in NIH's layout.

    Args:
        folder: Where; nothing is done if it is there already.
        images: Number for training and validation, and for testing.
        side: Of the image files in pixels.
        seed: Draws pixels and findings.

    Returns:
        The folder.
    """
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{folder.name}.tmp")
    (unfinished / "images").mkdir(parents=True)
    generator = np.random.default_rng(seed)
    sources = [unfinished / f"{number}.png" for number in range(_FILES)]
    for source in sources:
        Image.fromarray(generator.integers(0, 256, (side, side), dtype=np.uint8)).save(source)
    names, rows = [], []
    for number in range(sum(images)):
        patient, visit = divmod(number, _PER_PATIENT)
        names.append(f"{patient + 1:08d}_{visit:03d}.png")
        os.link(sources[number % _FILES], unfinished / "images" / names[-1])
        findings = [label for label, drawn in zip(NIH_LABELS, generator.random(14), strict=True) if drawn < 0.06]
        text = "|".join(findings) or "No Finding"
        rows.append(f"{names[-1]},{text},{visit},{patient + 1},50,M,PA,{side},{side},0.14,0.14")
    (unfinished / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (unfinished / BOX_LIST).write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\n")
    start = 0
    for name, count in zip(SPLIT_LISTS.values(), images, strict=True):
        (unfinished / name).write_text("\n".join(names[start : start + count]) + "\n")
        start += count
    for source in sources:
        source.unlink()
    unfinished.rename(folder)
    return folder
