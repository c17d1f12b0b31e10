"""Rehearse training at full size: train.py prepares and trains on a generated set of NIH's 112,120 images.

    uv run -m benchmarks.full_size --folder FOLDER [--batches 100] [OVERRIDES of train.py ...]

It takes about 7 GB in FOLDER at 224 px. The image files are small, so the time to prepare them is not that of real
ones; everything after that is as with real ones. It prints the seconds of each step and epoch, and the peak of the
process's private memory (RssAnon, which excludes the page cache), beside a run on 1,000 images.
"""

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.generated_nih import OFFICIAL_COUNTS, generate_nih_set
from benchmarks.paired_timing import describe_machine

REPOSITORY = Path(__file__).parent.parent
SMALL_COUNTS = (1_000, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--batches", type=int, help="per epoch; all by default")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    batch = 256 if torch.cuda.is_available() else 8
    settings = ["data=nih", "data.image_size=224", f"data.batch_size={batch}", "data.val_fraction=0.02"]
    settings += ["model.weights=null", "trainer.max_epochs=2", "callbacks.early_stopping=null", "test=false"]
    settings += [f"paths.cache_dir={arguments.folder.absolute() / 'cache'}", "trainer.limit_val_batches=10"]
    settings += [f"trainer.limit_train_batches={arguments.batches}"] if arguments.batches else []
    peaks = {}
    for images in (SMALL_COUNTS, OFFICIAL_COUNTS):
        started = time.perf_counter()
        root = generate_nih_set(arguments.folder.absolute() / f"made-{sum(images)}", images)
        print(f"\n{sum(images):,} images: files made in {time.perf_counter() - started:.0f} s")
        peaks[images] = train(root, [*settings, *arguments.overrides])
    difference = (peaks[OFFICIAL_COUNTS] - peaks[SMALL_COUNTS]) / 1e6
    print(f"\npeak memory of the run at full size: {difference:+.0f} MB beside that on {SMALL_COUNTS[0]:,} images")


def train(root: Path, settings: list[str]) -> int:
    """Run train.py, print its times and return its peak memory in bytes."""
    with TemporaryDirectory() as logs:
        command = [sys.executable, "train.py", f"data.root={root}", f"paths.log_dir={logs}", *settings]
        started = time.perf_counter()
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            # The output is less than a pipe holds, so no thread has to read it meanwhile.
            peak = 0
            while process.poll() is None:
                peak = max(peak, private_memory(process.pid))
                time.sleep(0.05)
            output = process.stdout.read().decode() if process.stdout else ""
        if process.returncode:
            sys.exit(output)
        print("  " + "\n  ".join(line for line in output.splitlines() if line.startswith(("preparing", "train:"))))
        (history,) = Path(logs).glob("train/runs/*/history.csv")
        with history.open(newline="") as file:
            for row in csv.DictReader(file):
                seconds, speed = float(row["seconds"]), float(row["images_per_second"])
                print(f"  epoch {row['epoch']}: {seconds:.1f} s with validation, {speed:,.1f} training images/s")
        print(f"  whole run {time.perf_counter() - started:.0f} s, peak memory {peak / 1e6:,.0f} MB", flush=True)
    return peak


def private_memory(pid: int) -> int:
    """Private memory of a process in bytes; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


if __name__ == "__main__":
    main()
