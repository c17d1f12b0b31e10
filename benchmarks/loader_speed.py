"""Measure images per second into the training process: prepared ones, and ones decoded from PNG each time.

    uv run -m benchmarks.loader_speed --folder FOLDER [--root NIH_FOLDER]

It writes a generated set and its cache to FOLDER (about 2.2 GB at 320 px). PNGs are those of --root in NIH's layout,
or 200 synthetic ones of 1024 x 1024 pixels. It prints ratios of cases that are timed in turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from multiprocessing import Pool
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.generated_nih import generate_nih_set
from benchmarks.paired_timing import describe_machine, print_rates, speed_ratios, time_in_turns
from cxr_lightning.data.cache import CacheSpec, prepare_images
from cxr_lightning.data.dataloader import collate
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.dataset import ChestXRayDataset, ImageFiles
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.utils.subprocesses import usable_cores

BATCH = 32
GENERATED = (20_000, 200)
COPIES = 5


class UsualTransforms(Dataset[Tensor]):
    """The usual transforms of one image at a time: PIL, RGB, resize, float, normalize."""

    def __init__(self, paths: list[str], size: int) -> None:
        self.paths = paths
        self.transform = v2.Compose(
            [
                v2.Resize((size, size), antialias=True),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(Image.open(self.paths[index]).convert("RGB"))
        return image


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--root", type=Path)
    arguments.add_argument("--image-size", type=int, default=320)
    parsed = arguments.parse_args()
    print(describe_machine())
    time_cache(parsed.folder, parsed.image_size)
    paths = png_paths(parsed.folder, parsed.root)
    torch.set_num_threads(1)
    time_png(paths, parsed.image_size)
    time_preparation(paths, parsed.image_size, parsed.folder)


def time_cache(folder: Path, size: int) -> None:
    """Time shuffled epochs over a memory map that is in the page cache."""
    root = generate_nih_set(folder / f"made-{sum(GENERATED)}", GENERATED)
    print(f"\nprepared images, {size} px, shuffled, batches of {BATCH}, map of {GENERATED[0] * size**2 / 1e9:.1f} GB")
    loaders = {}
    for workers in (0, 1, 2):
        module = ChestXRayDataModule(
            str(root),
            NIHLayout(),
            val_fraction=0.001,
            image_size=size,
            batch_size=BATCH,
            cache=True,
            cache_dir=str(folder / "cache"),
            num_workers=workers,
        )
        module.setup()
        loaders[f"{workers} loader processes"] = module.train_dataloader()
    images = len(module.rows("train"))

    def epoch(loader: DataLoader[object]) -> Callable[[], object]:
        return lambda: sum(1 for _ in loader)

    first = epoch(loaders["0 loader processes"])
    started = time.perf_counter()
    first()
    print(f"first epoch of a process, which fills its page tables: {images / (time.perf_counter() - started):,.0f}")
    print_rates(time_in_turns({name: epoch(loader) for name, loader in loaders.items()}), images)


def png_paths(folder: Path, root: Path | None) -> list[str]:
    """List PNGs of 1024 x 1024 pixels: those of the NIH folder, or of a synthetic set that is built."""
    if root is not None:
        found = sorted(str(path) for path in (root / "images").glob("*.png"))
        if not found:
            raise SystemExit(f"error: Expected PNGs in '{root / 'images'}' but there are none. Correct --root.")
        return found
    source = PhantomLayout(train_images=120, val_images=40, test_images=40, image_size=1024)
    source.prepare(folder / "phantom")
    return sorted(str(path) for path in (source.folder(folder / "phantom") / "images").glob("*.png"))


def time_png(paths: list[str], size: int) -> None:
    """Time decoding of PNGs on one core."""
    print(f"\nfrom {len(paths)} PNGs to {size} px, one core")
    ours = ChestXRayDataset(ImageFiles(paths, size), np.zeros((len(paths), 14), dtype=np.float32))
    cases = {
        "PIL, RGB, resize, normalize": lambda: sum(
            1 for _ in DataLoader(UsualTransforms(paths, size), batch_size=BATCH)
        ),
        "ours, decoding every time": lambda: sum(1 for _ in DataLoader(ours, batch_size=BATCH, collate_fn=collate)),
    }
    print_rates(time_in_turns(cases, 3), len(paths), "PIL, RGB, resize, normalize")


def time_preparation(paths: list[str], size: int, folder: Path) -> None:
    """Time the preparation of a cache on all cores, beside Pillow alone in a pool of as many running processes."""
    cores = usable_cores()
    with TemporaryDirectory(dir=folder) as temporary, Pool(cores) as pool:
        root, numbers = Path(temporary) / "images", count()
        root.mkdir()
        for copy in range(COPIES):
            for path in paths:
                (root / f"{copy}_{Path(path).name}").symlink_to(Path(path).resolve())
        names = sorted(path.name for path in root.iterdir())
        print(f"\npreparing {len(names):,} PNGs at {size} px on {cores} cores")
        cases = {
            "Pillow alone": lambda: pool.map(
                partial(_decode_with_pillow, size=size), [str(root / name) for name in names]
            ),
            "prepare": lambda: prepare_images(
                names, CacheSpec(root, size), Path(temporary) / str(next(numbers)), progress=False
            ),
        }
        seconds = time_in_turns(cases)
    print_rates(seconds, len(names), "Pillow alone")
    fraction = statistics.median(speed_ratios(seconds, "Pillow alone", "prepare"))
    print(f"preparing runs at {100 * fraction:.0f} % of the machine's bare rate")


def _decode_with_pillow(path: str, size: int) -> int:
    with Image.open(path) as image:
        return len(image.convert("L").resize((size, size), Image.Resampling.BILINEAR).tobytes())


if __name__ == "__main__":
    main()
