"""The verb ``phantom``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from cxr_lightning.cli.arguments import PathArgument
from cxr_lightning.utils.terminal import say


def phantom(
    out: Annotated[Path, PathArgument(metavar="FOLDER", help="where the set's own folder is made")],
    seed: Annotated[int, typer.Option(help="draws patients, findings and images")] = 0,
    train_images: Annotated[int, typer.Option(help="number of training images")] = 1000,
    val_images: Annotated[int, typer.Option(help="number of validation images")] = 200,
    test_images: Annotated[int, typer.Option(help="number of test images")] = 400,
    image_size: Annotated[int, typer.Option(help="side of the images in pixels")] = 256,
) -> None:
    """Make the synthetic set in NIH's layout.

    Radiograph-like images with planted findings, for trying the programs with nothing to download.
    """
    spec = resolve_name("cxr_lightning.phantom.spec:PhantomSpec")(
        seed=seed, train_images=train_images, val_images=val_images, test_images=test_images, image_size=image_size
    )
    say(resolve_name("cxr_lightning.phantom.build:build_phantom")(out, spec))
