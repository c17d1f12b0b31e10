"""Measure how long NIH's tables take to be read, normalized and checked, beside another checkout of this package.

    uv run -m benchmarks.table_speed --folder FOLDER [--other CHECKOUT] [--rounds 5]

FOLDER holds NIH's label file and lists, and image files of any content (empty ones will do), or none. The checkouts
take turns, each in a process of its own; times are of the processor, since others may use the machine; ratios are
paired.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

_CODE = """
import sys, time
from pathlib import Path
from cxr_lightning.data.datasets.nih import NIHLayout
seconds = []
for _ in range(4):  # the first one imports and fills caches
    started = time.process_time()
    table = NIHLayout().read(Path(sys.argv[1])).table
    seconds.append(time.process_time() - started)
print(len(table), int(table["path"].notna().sum()), min(seconds[1:]))
"""


def read_seconds(checkout: Path, folder: Path) -> tuple[int, int, float]:
    """Read the tables with a checkout's code.

    Args:
        checkout: Folder of the checkout.
        folder: Folder with the tables.

    Returns:
        The number of rows, of images on disk, and the least processor seconds of three readings.
    """
    command = [sys.executable, "-c", _CODE, str(folder.absolute())]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(checkout.absolute())}, check=True, capture_output=True, text=True
    )
    rows, images, seconds = done.stdout.split()
    return int(rows), int(images), float(seconds)


def main() -> None:
    """Print the seconds of both checkouts, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    own = Path(__file__).parents[1]
    checkouts = [own, *([options.other] if options.other else [])]
    turns = [[read_seconds(checkout, options.folder) for checkout in checkouts] for _ in range(options.rounds)]
    rows, images, _ = turns[0][0]
    print(f"{rows:,} rows, {images:,} images on disk")
    for name, values in zip(("this", "other"), zip(*turns, strict=True), strict=False):
        seconds = [value[2] for value in values]
        print(f"{name:<6} {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    if options.other:
        ratios = [this[2] / other[2] for this, other in turns]
        print(f"ratio  {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
