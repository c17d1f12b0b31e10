"""Draw Grad-CAM heat maps of images.

Draw, for each image and finding, the image beside a Grad-CAM heat map. By default the findings with the highest
validation AUROC in the checkpoint. Not for clinical use.
"""

import argparse
from pathlib import Path

from cxr_lightning.cli.arguments import comma_separated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--model", required=True, metavar="FILE", help="a checkpoint")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--labels", type=comma_separated, metavar="A,B", help="findings to draw")
    which.add_argument("--top", type=int, default=4, help="number of findings (default: %(default)s)")
    parser.add_argument("--target-layer", choices=("post_relu", "pre_relu"), default="post_relu", help="of the network")
    parser.add_argument("--out", type=Path, default=Path("heatmaps"), metavar="FOLDER", help="(default: %(default)s)")
    parser.set_defaults(check=_check_arguments)


def _check_arguments(parsed: argparse.Namespace) -> None:
    """Refuse a number of findings below 1."""
    if parsed.top < 1:
        raise ValueError(f"Expected --top to be at least 1 but got {parsed.top}.")
