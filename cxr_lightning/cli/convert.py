"""Turn foreign weights into a checkpoint.

Turn a Keras file (.h5, .hdf5, .keras), a PyTorch file of another project (.pth, .pt) or a .safetensors file of
DenseNet-121, -169 or -201 into a checkpoint. What the file does not say is decided as the output tells, or must be
given. A Keras file with 14 outputs is taken for one of the Keras walk-through.
"""

import argparse
from pathlib import Path

from cxr_lightning.cli.arguments import comma_separated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("out", type=Path, metavar="OUT.ckpt", help="must not exist yet")
    parser.add_argument("--labels", type=comma_separated, metavar="A,B", help="in the order of the outputs")
    parser.add_argument("--preprocessing", choices=("imagenet", "featurewise", "samplewise", "none"))
    parser.add_argument("--mean", type=float, help="of training pixels in [0, 255], with featurewise")
    parser.add_argument("--std", type=float, help="their standard deviation, with featurewise")
    parser.add_argument(
        "--training-data", type=Path, metavar="FOLDER", help="compute mean and std of the training images in it instead"
    )
    parser.add_argument("--layout", choices=("walkthrough", "nih"), help="of that folder (default: walkthrough)")
    parser.add_argument("--seed", type=int, help="draws the images for that (default: 0)")
    parser.add_argument("--image-size", type=int, help="side in pixels")
    parser.add_argument("--interpolation", choices=("nearest", "bilinear", "bicubic", "lanczos"))
    parser.add_argument(
        "--final-relu",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether an activation follows the last batch normalization, whatever the file says",
    )
    parser.set_defaults(check=_check_arguments)


def _check_arguments(parsed: argparse.Namespace) -> None:
    """Refuse an output file that exists or has another suffix, and options that contradict each other."""
    if parsed.out.exists():
        raise ValueError(f"Expected a new file as OUT but '{parsed.out}' exists already. Choose another name.")
    if parsed.out.suffix != ".ckpt":
        raise ValueError(f"Expected OUT to end in .ckpt but got '{parsed.out}'.")
    if parsed.training_data is None and (parsed.layout is not None or parsed.seed is not None):
        raise ValueError("Expected --training-data beside --layout and --seed, which say how it is read.")
    if parsed.training_data is not None and (parsed.mean is not None or parsed.std is not None):
        raise ValueError("Expected either --training-data or --mean and --std but got both.")
