"""The job of cxr prepare."""

import argparse
import time

from cxr_lightning.cli.prepare import csv_options
from cxr_lightning.data.cache import CacheSpec, prepare_images
from cxr_lightning.data.datasets.registry import build_layout, listed_image_paths


def prepare(parsed: argparse.Namespace) -> int:
    """Prepare the images, and print how many are ready."""
    paths = listed_image_paths(build_layout(parsed.layout, **csv_options(parsed)), parsed.root)
    found = paths.dropna()
    if found.empty:
        raise FileNotFoundError(f"Expected the listed images below '{parsed.root}' but none is there. Unpack them.")
    spec = CacheSpec(parsed.root, parsed.image_size, parsed.interpolation)
    started = time.perf_counter()
    prepared = prepare_images(
        spec.files(found),
        spec,
        parsed.cache_dir / "images",
        on_bad_image=parsed.on_bad_image,
        workers=parsed.workers,
        verify=parsed.verify,
    )
    seconds = time.perf_counter() - started
    print(f"{len(prepared.rows):,} images of {spec.image_size} px in '{prepared.folder}'")
    print(f"  {prepared.num_decoded:,} prepared now, in {seconds:.0f} s")
    if len(found) < len(paths):
        print(f"  {len(paths) - len(found):,} are listed but not on disk")
    if prepared.rejected:
        print(f"  {len(prepared.rejected):,} cannot be used: see rejected.csv there")
    return 0
