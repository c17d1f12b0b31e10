"""The verb ``convert``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal

import typer

from cxr_lightning.cli.arguments import PathArgument, PathOption, comma_separated


def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="the foreign weights")],
    out: Annotated[Path, PathArgument(metavar="OUT.ckpt", help="must not exist yet")],
    labels: Annotated[str | None, typer.Option(metavar="A,B", help="in the order of the outputs")] = None,
    preprocessing: Annotated[
        Literal["imagenet", "featurewise", "samplewise", "none"] | None,
        typer.Option(help="of the images in the network's training"),
    ] = None,
    mean: Annotated[float | None, typer.Option(help="of training pixels in [0, 255], with featurewise")] = None,
    std: Annotated[float | None, typer.Option(help="their standard deviation, with featurewise")] = None,
    training_data: Annotated[
        Path | None, PathOption(metavar="FOLDER", help="compute mean and std of the training images in it instead")
    ] = None,
    layout: Annotated[
        Literal["walkthrough", "nih"] | None, typer.Option(help="of that folder  [default: walkthrough]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="draws the images for that  [default: 0]")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="with --training-data: take DICOM files that are no chest radiographs by header"),
    ] = False,
    image_size: Annotated[int | None, typer.Option(help="side in pixels")] = None,
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic", "lanczos"] | None, typer.Option(help="of the images to that size")
    ] = None,
    final_relu: Annotated[
        bool | None,
        typer.Option(
            "--final-relu/--no-final-relu",
            help="whether an activation follows the last batch normalization, whatever the file says",
        ),
    ] = None,
) -> None:
    """Turn foreign weights into a checkpoint.

    FILE is a Keras file (.h5, .hdf5, .keras), a PyTorch file of another project (.pth, .pt) or a .safetensors file of
    DenseNet-121, -169 or -201. What it does not say is decided as the output tells, or must be given. A Keras file with
    14 outputs is taken for one of the Keras walk-through.
    """
    if out.exists():
        raise ValueError(f"Expected a new file as OUT but '{out}' exists already. Choose another name.")
    if out.suffix != ".ckpt":
        raise ValueError(f"Expected OUT to end in .ckpt but got '{out}'.")
    if training_data is None and (layout is not None or seed is not None or force):
        raise ValueError("Expected --training-data beside --layout, --seed and --force, which say how it is read.")
    if training_data is not None and (mean is not None or std is not None):
        raise ValueError("Expected either --training-data or --mean and --std but got both.")
    settings = resolve_name("cxr_lightning.checkpoints.foreign.model_settings:ForeignSettings")(
        labels=None if labels is None else comma_separated(labels),
        preprocessing=preprocessing,
        mean=mean,
        std=std,
        image_size=image_size,
        interpolation=interpolation,
        final_relu=final_relu,
    )
    convert_weights = resolve_name("cxr_lightning.cli.jobs.convert:convert_weights")
    reading = {"layout": layout or "walkthrough", "seed": seed or 0, "force": force}
    convert_weights(file, out, settings, training_data=training_data, **reading)
