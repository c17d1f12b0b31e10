"""The verb ``export``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from cxr_lightning.cli.arguments import PathArgument
from cxr_lightning.cli.model_argument import named_model
from cxr_lightning.utils.terminal import say


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a checkpoint, or latest")],
    out: Annotated[Path, PathArgument(metavar="OUT", help=".onnx or .safetensors; must not exist yet")],
) -> None:
    """Write a trained model as ONNX or safetensors.

    ONNX (extra onnx): uint8 gray images (B, 1, S, S) in; calibrated and raw probabilities (B, C) and class-activation
    maps out, with preprocessing inside; labels, thresholds and the data's fingerprint in the file's metadata. The file
    is compared with torch before it is kept.

    safetensors: the tensors and the same metadata, which takes a checkpoint's place except to go on training.

    Not for clinical use.
    """
    if out.suffix not in (".onnx", ".safetensors"):
        raise ValueError(f"Expected OUT to end in .onnx or .safetensors but got '{out}'. Add the one that you want.")
    predictor = resolve_name("cxr_lightning.inference.predictor:load_model")(named_model(model), device="cpu")
    differences = resolve_name("cxr_lightning.checkpoints.export:export_classifier")(predictor.model, out)
    for compared, difference in differences.items():
        say(f"{compared} {difference:.1e}")
    if predictor.postprocessing is None:
        say("the model carries no calibration: probabilities and raw_probabilities are the same")
    say(f"wrote {out}")
