"""Measure what the checks of prepared images cost: each row's checksum at its first reading, the file's length always.

    uv run -m benchmarks.cache_checksums --folder FOLDER [--images 20000] [--rounds 15] [--steps 20]

It writes a file of random pixels to FOLDER (1 GB for 20,000 images of 224 px) and reads it in random order, batches of
16: through maps with and without checksums, and through a bare memory map without any check. Cases take turns after
every 50 batches, or every training step. Times are of the processor, since others may use the machine; ratios are
paired.
"""

import argparse
import itertools
import statistics
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.paired_timing import describe_machine
from cxr_lightning.data.cache import ImageMap
from cxr_lightning.data.cache.pixels import RowChecksums
from cxr_lightning.data.cache.verified_rows import VerifiedRows
from cxr_lightning.data.dataloader import DistributedShardSampler, EpochSampler, build_image_loader
from cxr_lightning.data.dataset import ChestXRayDataset, ImageStore
from cxr_lightning.models.classifier import ChestXRayClassifier

SIZE, BATCH = 224, 16
LABELS = 14
READ_BLOCK = 50
Seconds = dict[str, list[float]]


class BareMap:
    """A memory map without any check."""

    def __init__(self, path: Path, count: int) -> None:
        self._pixels = np.memmap(path, dtype=np.uint8, mode="r", shape=(count, SIZE, SIZE)).view(np.ndarray)
        self._rows = np.arange(count)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Copy images out of the map."""
        return self._pixels[self._rows[indices]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--steps", type=int, default=20)
    parsed = arguments.parse_args()
    print(describe_machine())
    path, checksums = write_pixels(parsed.folder, parsed.images)

    def checked() -> ImageMap:
        files = [str(number) for number in range(parsed.images)]
        rows = RowChecksums(files, checksums, VerifiedRows(parsed.images))
        return ImageMap(path, range(parsed.images), SIZE, None, rows)

    cases: dict[str, Callable[[], ImageStore]] = {
        "bare map": lambda: BareMap(path, parsed.images),
        "no checksums": lambda: ImageMap(path, range(parsed.images), SIZE),
        "checksums": checked,
    }
    for name, seconds in time_passes(cases, parsed.images, parsed.rounds).items():
        print(f"\n{name}")
        print_medians(seconds, READ_BLOCK * BATCH)
    if parsed.steps:
        print(f"\ntraining DenseNet-121, {SIZE} px, batches of {BATCH}, first epoch")
        print_medians(time_training(cases, parsed.steps), BATCH)


def write_pixels(folder: Path, count: int) -> tuple[Path, NDArray[np.uint32]]:
    """Write random pixels; return the file and the checksum of every image."""
    path, generator = folder / f"random-{count}-{SIZE}.u8", np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    with path.open("wb") as file:
        for _ in range(count):
            content = generator.integers(0, 256, SIZE**2, dtype=np.uint8).tobytes()
            found.append(zlib.crc32(content))
            file.write(content)
    return path, np.array(found, dtype=np.uint32)


def time_passes(cases: Mapping[str, Callable[[], ImageStore]], count: int, rounds: int) -> dict[str, Seconds]:
    """Time the first and second pass over new maps in every round, and a pass through the loader."""
    passes: dict[str, Seconds] = {
        name: {case: [] for case in cases} for name in ("first pass", "second pass", "second pass, through the loader")
    }
    order = np.random.default_rng(1).permutation(count)
    batches = [order[start : start + BATCH].tolist() for start in range(0, count, BATCH)]
    for _ in range(rounds):
        stores = {name: build() for name, build in cases.items()}
        for seconds in list(passes.values())[:2]:
            time_in_blocks({name: map(store.read, batches) for name, store in stores.items()}, READ_BLOCK, seconds)
        loaders = {
            name: build_image_loader(dataset_of(store), EpochSampler(count, 0), BATCH, 0)
            for name, store in stores.items()
        }
        time_in_blocks(
            {name: iter(loader) for name, loader in loaders.items()},
            READ_BLOCK,
            passes["second pass, through the loader"],
        )
    return passes


def time_training(cases: Mapping[str, Callable[[], ImageStore]], steps: int) -> Seconds:
    """Time the steps of first epochs, reading included."""
    model = ChestXRayClassifier(labels=[f"finding {number}" for number in range(LABELS)], backbone="densenet121")
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()

    def train(store: ImageStore) -> Iterator[None]:
        sampler = DistributedShardSampler((steps + 1) * BATCH)
        for batch in build_image_loader(dataset_of(store), sampler, BATCH, 0):
            optimizer.zero_grad()
            logits = model(batch["image"])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch["target"])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield

    runs = {name: train(build()) for name, build in cases.items()}
    for run in runs.values():  # the first step warms up
        next(run)
    seconds: Seconds = {name: [] for name in cases}
    time_in_blocks(runs, 1, seconds)
    return seconds


def time_in_blocks(cases: Mapping[str, Iterator[object]], block: int, seconds: Seconds) -> None:
    """Add the seconds of blocks of steps of each case, which take turns in a changing order, until all have ended."""
    for order in itertools.cycle(itertools.permutations(cases)):  # so that no case always follows the same other
        for name in order:
            started = time.process_time()
            done = sum(1 for _ in itertools.islice(cases[name], block))
            if done < block:
                return
            seconds[name].append(time.process_time() - started)


def dataset_of(store: ImageStore) -> ChestXRayDataset:
    """Images without findings."""
    return ChestXRayDataset(store, np.zeros((len(store), LABELS), dtype=np.float32))


def print_medians(seconds: Seconds, images: int) -> None:
    """Print images per second of every case, and the median of its paired ratios to the others."""
    print(f"{len(next(iter(seconds.values())))} turns")
    for name, values in seconds.items():
        line = f"{name:<14} {images / statistics.median(values):>12,.1f} images/s"
        for other, others in seconds.items():
            if other != name:
                ratio = statistics.median(theirs / ours for ours, theirs in zip(values, others, strict=True))
                line += f"   {ratio:.3f} times {other}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
