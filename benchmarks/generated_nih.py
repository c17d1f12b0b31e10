"""Generated data sets in NIH's layout and size that need little disk space: small random images, no two alike."""

from pathlib import Path

import numpy as np
from PIL import Image

from cxr_lightning.data.datasets.nih_lists import BOX_LIST, SPLIT_LISTS
from cxr_lightning.labels import NIH_LABELS

OFFICIAL_COUNTS = (86_524, 25_596)
"""Numbers of images in NIH's official lists: training and validation, test."""
LABEL_TABLE_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
_IMAGES_PER_PATIENT = 4


def generate_nih_set(folder: Path, images: tuple[int, int] = OFFICIAL_COUNTS, *, side: int = 64, seed: int = 0) -> Path:
    """Write random images and findings in NIH's layout.

    Args:
        folder: Folder to write; if it exists, nothing is done.
        images: Numbers of images for training and validation, and for testing.
        side: Height and width of the image files in pixels.
        seed: Seed of pixels and findings.

    Returns:
        The folder.
    """
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{folder.name}.tmp")
    (unfinished / "images").mkdir(parents=True)
    generator = np.random.default_rng(seed)
    names, rows = [], []
    for number in range(sum(images)):
        patient, visit = divmod(number, _IMAGES_PER_PATIENT)
        names.append(f"{patient + 1:08d}_{visit:03d}.png")
        pixels = generator.integers(0, 256, (side, side), dtype=np.uint8)
        Image.fromarray(pixels).save(unfinished / "images" / names[-1], compress_level=1)
        findings = [label for label, drawn in zip(NIH_LABELS, generator.random(14), strict=True) if drawn < 0.06]
        text = "|".join(findings) or "No Finding"
        rows.append(f"{names[-1]},{text},{visit},{patient + 1},50,M,PA,{side},{side},0.14,0.14")
    (unfinished / "Data_Entry_2017_v2020.csv").write_text("\n".join([LABEL_TABLE_HEADER, *rows]) + "\n")
    (unfinished / BOX_LIST).write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\n")
    start = 0
    for name, count in zip(SPLIT_LISTS.values(), images, strict=True):
        (unfinished / name).write_text("\n".join(names[start : start + count]) + "\n")
        start += count
    unfinished.rename(folder)
    return folder
