"""Files in the layout of the Keras course, of real images where they are at hand and else of random ones."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from cxr_lightning.labels import NIH_LABELS, WALKTHROUGH_LABELS

FILM = "00008270_015.png"
"""The image whose heat maps the course draws."""
_SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "nih-sample" / "images"


def write_course(folder: Path, images: Sequence[Path]) -> Path:
    """Write the three tables of 0 and 1 and their images; one patient is in two of them.

    Args:
        folder: The new folder.
        images: At least 32 images with NIH's names, whose patients differ from one half to the other; those of NIH's
            sample take their place if it is there.

    Returns:
        The folder.
    """
    (folder / "images-small").mkdir(parents=True)
    chosen = (sorted(_SAMPLE.glob("*.png")) or sorted(images))[:32]
    for image in chosen:
        shutil.copy(image, folder / "images-small")
    shutil.copy(chosen[0], folder / "images-small" / FILM)
    names = [image.name for image in chosen]
    leaked = f"{names[0][:8]}_999.png"
    shutil.copy(chosen[0], folder / "images-small" / leaked)
    tables = {
        "train-small.csv": [FILM, *names[:16]],
        "valid-small.csv": [leaked, *names[16:22]],
        "test.csv": names[22:],
    }
    for file, listed in tables.items():
        labels = NIH_LABELS if file == "test.csv" else WALKTHROUGH_LABELS  # the columns' order differs, as there
        with (folder / file).open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["Image", *labels, "PatientId"])
            for number, name in enumerate(listed):
                findings = [int((number + place) % 3 == 0) for place in range(len(labels))]
                writer.writerow([name, *findings, int(name[:8])])
    return folder
