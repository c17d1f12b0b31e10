"""Compare this installation with the one that saved a model.

Compute the probabilities of the model's reference image again, a synthetic radiograph that its file carries, and
compare them with those stored there. The exit code is 1 if any differs by over 0.0001.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a checkpoint")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or mps (default: cuda if there is one)")
