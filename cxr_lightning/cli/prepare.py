"""Decode and resize a data set's images once.

Decode and resize all images of a data set. train.py and evaluate.py with the same image size and interpolation then
find them ready; they do the same themselves on first use. An interrupted run is continued, images whose files have
changed are prepared again, and images that cannot be used are listed in rejected.csv.
"""

import argparse
import os
from pathlib import Path

_CSV_OPTIONS = {"file": "--file", "image_column": "--image-column"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("root", type=Path, metavar="FOLDER", help="the data set's folder, as data.root")
    parser.add_argument("--layout", choices=("nih", "walkthrough", "csv"), default="nih", help="(default: %(default)s)")
    parser.add_argument("--file", metavar="CSV", help="with --layout csv (default: labels.csv)")
    parser.add_argument("--image-column", metavar="NAME", help="with --layout csv (default: image)")
    parser.add_argument("--image-size", type=int, default=224, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--interpolation",
        choices=("nearest", "bilinear", "bicubic", "lanczos"),
        default="bilinear",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=Path(os.environ.get("CXR_CACHE_DIR", "cache")),
        metavar="FOLDER",
        help="as paths.cache_dir (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    parser.add_argument(
        "--on-bad-image",
        choices=("error", "skip"),
        default="error",
        help="whether images that cannot be used are an error (default: %(default)s)",
    )
    parser.add_argument("--verify", action="store_true", help="compare all prepared images with their checksums")
    parser.set_defaults(check=_check_arguments)


def _check_arguments(parsed: argparse.Namespace) -> None:
    """Refuse an image size below 1, and options of another layout."""
    if parsed.image_size < 1:
        raise ValueError(f"Expected --image-size to be at least 1 but got {parsed.image_size}.")
    if (options := csv_options(parsed)) and parsed.layout != "csv":
        raise ValueError(f"Expected --layout csv beside {_CSV_OPTIONS[next(iter(options))]}.")


def csv_options(parsed: argparse.Namespace) -> dict[str, str]:
    """The options of the layout csv on the command line."""
    return {name: value for name in _CSV_OPTIONS if (value := getattr(parsed, name)) is not None}
