"""cxr prepare: decode and resize a data set's images once."""

import argparse
import os
import time
from pathlib import Path

_CSV_OPTIONS = {"file": "--file", "image_column": "--image-column"}


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "prepare",
        help="decode and resize a data set's images once",
        description="Decode and resize all images of a data set. train.py and evaluate.py with the same image size and "
        "interpolation then find them ready; they do the same themselves on first use. An interrupted run is "
        "continued, images whose files have changed are prepared again, and images that cannot be used are listed in "
        "rejected.csv.",
    )
    verb.add_argument("root", type=Path, metavar="FOLDER", help="the data set's folder, as data.root")
    verb.add_argument("--layout", choices=("nih", "walkthrough", "csv"), default="nih", help="(default: %(default)s)")
    verb.add_argument("--file", metavar="CSV", help="with --layout csv (default: labels.csv)")
    verb.add_argument("--image-column", metavar="NAME", help="with --layout csv (default: image)")
    verb.add_argument("--image-size", type=int, default=224, help="side in pixels (default: %(default)s)")
    verb.add_argument(
        "--interpolation",
        choices=("nearest", "bilinear", "bicubic", "lanczos"),
        default="bilinear",
        help="(default: %(default)s)",
    )
    verb.add_argument(
        "--cache-dir",
        type=Path,
        default=Path(os.environ.get("CXR_CACHE_DIR", "cache")),
        metavar="FOLDER",
        help="as paths.cache_dir (default: %(default)s)",
    )
    verb.add_argument("--workers", type=int, help="processes (default: one per core)")
    verb.add_argument(
        "--on-bad-image",
        choices=("error", "skip"),
        default="error",
        help="whether images that cannot be used are an error (default: %(default)s)",
    )
    verb.add_argument("--verify", action="store_true", help="compare all prepared images with their checksums")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    if parsed.image_size < 1:
        raise ValueError(f"Expected --image-size to be at least 1 but got {parsed.image_size}.")
    options = {name: value for name in _CSV_OPTIONS if (value := getattr(parsed, name)) is not None}
    if options and parsed.layout != "csv":
        raise ValueError(f"Expected --layout csv beside {_CSV_OPTIONS[next(iter(options))]}.")
    from cxr_lightning.data.cache import CacheSpec, prepare_images
    from cxr_lightning.data.datasets.registry import build_layout, listed_image_paths

    paths = listed_image_paths(build_layout(parsed.layout, **options), parsed.root)
    there = paths.dropna()
    if there.empty:
        raise FileNotFoundError(f"Expected the listed images below '{parsed.root}' but none is there. Unpack them.")
    spec = CacheSpec(parsed.root, parsed.image_size, parsed.interpolation)
    started = time.perf_counter()
    prepared = prepare_images(
        spec.files(there),
        spec,
        parsed.cache_dir / "images",
        on_bad_image=parsed.on_bad_image,
        workers=parsed.workers,
        verify=parsed.verify,
    )
    seconds = time.perf_counter() - started
    print(f"{len(prepared.rows):,} images of {spec.image_size} px in '{prepared.folder}'")
    print(f"  {prepared.num_decoded:,} prepared now, in {seconds:.0f} s")
    if len(there) < len(paths):
        print(f"  {len(paths) - len(there):,} are listed but not on disk")
    if prepared.rejected:
        print(f"  {len(prepared.rejected):,} cannot be used: see rejected.csv there")
    return 0
