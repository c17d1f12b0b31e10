"""The verb ``explain``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal

import typer

from cxr_lightning.cli.arguments import PathArgument, PathOption, comma_separated, refuse_several
from cxr_lightning.cli.model_argument import named_model

_DEFAULT_TOP = 4


def explain(
    images: Annotated[list[Path], PathArgument(metavar="IMAGE", help="image files; DICOM too")],
    model: Annotated[str, typer.Option(metavar="FILE", help="a checkpoint, ONNX, or latest")],
    labels: Annotated[str | None, typer.Option(metavar="A,B", help="findings to draw")] = None,
    top: Annotated[int | None, typer.Option(help=f"number of findings  [default: {_DEFAULT_TOP}]")] = None,
    target_layer: Annotated[Literal["post_relu", "pre_relu"], typer.Option(help="of the network")] = "post_relu",
    force: Annotated[
        bool, typer.Option("--force", help="take DICOM files that are no chest radiographs by header")
    ] = False,
    out: Annotated[Path, PathOption(metavar="FOLDER", help="where the heat maps are written")] = Path("heatmaps"),
) -> None:
    """Draw Grad-CAM heat maps of images.

    For each image one file shows the heat maps of all findings in a row, and one file a finding its heat map in a
    larger size. By default the findings are those with the highest validation AUROC in the checkpoint. Not for
    clinical use.
    """
    refuse_several({"--labels": labels is not None, "--top": top is not None})
    if top is not None and top < 1:
        raise ValueError(f"Expected --top to be at least 1 but got {top}.")
    resolve_name("cxr_lightning.cli.jobs.explain:explain_images")(
        images,
        named_model(model),
        labels=None if labels is None else comma_separated(labels),
        top=_DEFAULT_TOP if top is None else top,
        target_layer=target_layer,
        force=force,
        out=out,
    )
