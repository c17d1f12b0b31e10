"""Make the synthetic set in NIH's layout.

Make the synthetic set: radiograph-like images with planted findings, for trying the programs with nothing to download.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from cxr_lightning.phantom.spec import PhantomSpec

_FIELDS = {
    "seed": "draws patients, findings and images",
    "train_images": "number of training images",
    "val_images": "number of validation images",
    "test_images": "number of test images",
    "image_size": "side of the images in pixels",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("out", type=Path, metavar="FOLDER", help="where the set's own folder is made")
    for field in fields(PhantomSpec):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=field.default, help=f"{_FIELDS[field.name]} (default: %(default)s)")
