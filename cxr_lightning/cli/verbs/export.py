"""The verb ``export``."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from cxr_lightning.cli.arguments import PathArgument, PathOption
from cxr_lightning.cli.model_argument import named_model
from cxr_lightning.utils.terminal import say


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a checkpoint, or latest")],
    out: Annotated[Path, PathArgument(metavar="OUT", help=".onnx or .safetensors; must not exist yet")],
    int8: Annotated[bool, typer.Option("--int8", help="ONNX with convolutions in int8, checked as below")] = False,
    check_on: Annotated[
        Path | None, PathOption(metavar="PATH", help="with --int8: labeled images, a folder or a CSV")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(metavar="AUROC", help="accepted loss of a finding  [default: 0.002]")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="of the labeled folder: nih, walkthrough, csv, or a class  [default: nih]"),
    ] = None,
    image_column: Annotated[str | None, typer.Option(metavar="NAME", help="of the CSV  [default: image]")] = None,
    patient_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="of the CSV  [default: patient_id, if there is one]")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="of the CSV  [default: split, if there is one]")
    ] = None,
) -> None:
    """Write a trained model as ONNX or safetensors.

    ONNX (extra onnx): uint8 gray images (B, 1, S, S) in; calibrated and raw probabilities (B, C) and class-activation
    maps out, with preprocessing inside; labels, thresholds and the data's fingerprint in the file's metadata. The file
    is compared with torch before it is kept.

    --int8 writes a faster ONNX file, which loses some accuracy. AUROC in float32 and in int8 is compared on labeled
    images: the test images of the data set, or those of a CSV. The file is written only if no finding loses more than
    --max-loss and the mean over findings no more than 0.001; otherwise the table is printed and nothing written.
    Ranges of activations come from up to 128 other images of the set.

    safetensors: the tensors and the same metadata, which takes a checkpoint's place except to go on training.

    Not for clinical use.
    """
    if out.suffix not in (".onnx", ".safetensors"):
        raise ValueError(f"Expected OUT to end in .onnx or .safetensors but got '{out}'. Add the one that you want.")
    columns = {"image_column": image_column, "patient_column": patient_column, "split_column": split_column}
    given = {name: value for name, value in columns.items() if value is not None}
    _check_options(out, int8, {"check_on": check_on, "max_loss": max_loss, "layout": layout, **given})
    predictor = resolve_name("cxr_lightning.inference.predictor:load_model")(named_model(model), device="cpu")
    if int8:
        accepted = {} if max_loss is None else {"max_loss": max_loss}
        resolve_name("cxr_lightning.cli.jobs.export_int8:export_quantized")(
            predictor.model, out, check_on, layout=layout, columns=given, **accepted
        )
        return
    differences = resolve_name("cxr_lightning.checkpoints.export:export_classifier")(predictor.model, out)
    for compared, difference in differences.items():
        say(f"{compared} {difference:.1e}")
    if predictor.postprocessing is None:
        say("the model carries no calibration: probabilities and raw_probabilities are the same")
    say(f"wrote {out}")


def _check_options(out: Path, int8: bool, beside: Mapping[str, object]) -> None:
    """Refuse options of int8 without it, and int8 without labeled images or for another format."""
    given = [f"--{name.replace('_', '-')}" for name, value in beside.items() if value is not None]
    if given and not int8:
        raise ValueError(f"Expected --int8 beside {given[0]} but it is missing. Add --int8, or leave {given[0]} out.")
    if int8 and out.suffix != ".onnx":
        raise ValueError(f"Expected OUT to end in .onnx with --int8 but got '{out}'. Change it, or leave --int8 out.")
    if int8 and beside["check_on"] is None:
        raise ValueError(
            "Expected --check-on with --int8 but it is missing: what int8 loses is measured on labeled images. Add "
            "--check-on FOLDER (a data set's) or --check-on FILE.csv."
        )
