"""Draw twenty synthetic images, one per finding and six normal: ``uv run benchmarks/phantom_picture.py OUT.png``."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.imaging.reader import read_gray
from cxr_lightning.labels import NIH_LABELS

ROWS, COLUMNS = 4, 5
BOX_COLOR = "#ffb000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", default="cache/phantom", help="where the set is, or is made (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the set (default: %(default)s)")
    parser.add_argument("--boxes", action="store_true", help="draw the planted boxes")
    arguments = parser.parse_args()
    source = PhantomLayout(seed=arguments.seed)
    source.prepare(Path(arguments.root))
    manifest = source.read(Path(arguments.root))
    chosen = choose_images(manifest.table)
    figure = Figure(figsize=(COLUMNS * 2, ROWS * 2.2), layout="constrained", dpi=100)
    for axes, (title, row) in zip(figure.subplots(ROWS, COLUMNS).flat, chosen, strict=True):
        pixels = read_gray(Path(row["path"]))
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
        if arguments.boxes:
            height, width = pixels.shape
            for box in manifest.boxes[manifest.boxes["image_id"] == row["image_id"]].itertuples():
                corner = (box.x * width, box.y * height)
                size = box.width * width, box.height * height
                axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=BOX_COLOR))
    figure.suptitle("SYNTHETIC DATA: one image per finding, and images without finding", fontsize=10)
    figure.savefig(arguments.out)


def choose_images(table: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Choose for each finding the first image with that finding alone, then images without findings."""
    count = table[list(NIH_LABELS)].sum(axis=1)
    first = table.drop_duplicates("patient_id").index
    alone = {label: table[(table[label] == 1) & (count == 1)].iloc[0] for label in NIH_LABELS}
    normal = table.loc[first][count[first] == 0]
    free = ROWS * COLUMNS - len(NIH_LABELS)
    return [*alone.items(), *(("No Finding", normal.iloc[number]) for number in range(free))]


if __name__ == "__main__":
    main()
