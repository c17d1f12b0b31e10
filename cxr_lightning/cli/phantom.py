"""cxr phantom: make the synthetic set."""

import argparse
from dataclasses import fields
from pathlib import Path


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    from cxr_lightning.phantom import PhantomSpec

    words = {
        "seed": "draws patients, findings and pictures",
        "train_images": "number of training images",
        "val_images": "number of validation images",
        "test_images": "number of test images",
        "image_size": "side of the images in pixels",
    }
    verb = verbs.add_parser("phantom", help="make the synthetic set in NIH's layout")
    verb.add_argument("out", type=Path, metavar="FOLDER", help="where the set's own folder is made")
    for field in fields(PhantomSpec):
        flag = f"--{field.name.replace('_', '-')}"
        verb.add_argument(flag, type=int, default=field.default, help=f"{words[field.name]} (default: %(default)s)")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    from cxr_lightning.phantom import PhantomSpec, build_phantom

    spec = PhantomSpec(**{field.name: getattr(parsed, field.name) for field in fields(PhantomSpec)})
    print(build_phantom(parsed.out, spec))
    return 0
