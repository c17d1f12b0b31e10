"""Write a trained model as ONNX or safetensors.

Write a checkpoint's model as ONNX (extra onnx): uint8 gray images (B, 1, S, S) in; calibrated and raw probabilities
(B, C) and class-activation maps out, with preprocessing inside; labels, thresholds and the data's fingerprint in the
file's metadata. The file is compared with torch before it is kept. Or as safetensors: the tensors and the same
metadata, which takes a checkpoint's place except to go on training. Not for clinical use.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT", help=".onnx or .safetensors; must not exist yet")
    parser.set_defaults(check=_check_arguments)


def _check_arguments(parsed: argparse.Namespace) -> None:
    """Refuse an output file of another kind."""
    if parsed.out.suffix not in (".onnx", ".safetensors"):
        raise ValueError(f"Expected OUT to end in .onnx or .safetensors but got '{parsed.out}'.")
