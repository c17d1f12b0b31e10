"""Predict the findings in image files.

Probabilities of findings in chest radiographs. Suspicious images (nearly blank, likely inverted, colored, low
contrast, tiny, cropped, lateral) are marked; files that are no usable image are rejected. The exit code is 3 if a file
was rejected. Not for clinical use.
"""

import argparse
from pathlib import Path

from cxr_lightning.inference.image_files import find_images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, folders, or patterns in quotes; DICOM too")
    parser.add_argument("--model", required=True, metavar="FILE", help="a checkpoint, or weights in another format")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write results.jsonl and results.csv there")
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print a JSON object per file instead of a table")
    printed.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    parser.add_argument("--gradcam", action="store_true", help="draw heat maps into FOLDER/heatmaps")
    parser.add_argument("--resume", action="store_true", help="go on in FOLDER, leaving out files that are done")
    parser.add_argument("--force", action="store_true", help="take DICOM files that are no chest radiographs by header")
    parser.add_argument("--operating-point", metavar="NAME", help="a stored one (default: youden, or the first)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or mps (default: cuda if there is one)")
    parser.set_defaults(check=_check_arguments)


def _check_arguments(parsed: argparse.Namespace) -> None:
    """Refuse options that need an output folder without one, and an empty batch; then find the image files."""
    for option in ("gradcam", "resume"):
        if getattr(parsed, option) and parsed.out is None:
            raise ValueError(f"Expected --out FOLDER with --{option} but it is missing. Add --out FOLDER.")
    if parsed.batch_size < 1:
        raise ValueError(f"Expected --batch-size to be at least 1 but got {parsed.batch_size}.")
    parsed.images = find_images(parsed.paths)
