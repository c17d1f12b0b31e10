"""cxr export: a trained model as a file that others can run."""

import argparse
from pathlib import Path


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "export",
        help="write a trained model as ONNX or safetensors",
        description="Write a checkpoint's model as ONNX (extra onnx): uint8 grey images (B, 1, S, S) in; calibrated "
        "and raw probabilities (B, C) and class-activation maps out, with preprocessing inside; labels, thresholds and "
        "the data's fingerprint in the file's metadata. The file is compared with torch before it is kept. Or as "
        "safetensors: the tensors and the same metadata, which takes a checkpoint's place except to go on training. "
        "Not for clinical use.",
    )
    verb.add_argument("model", metavar="MODEL", help="a checkpoint")
    verb.add_argument("out", type=Path, metavar="OUT", help=".onnx or .safetensors; must not exist yet")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    if parsed.out.suffix not in (".onnx", ".safetensors"):
        raise ValueError(f"Expected OUT to end in .onnx or .safetensors but got '{parsed.out}'.")
    from cxr_lightning.inference.predictor import load_model, refuse_difference

    model = load_model(parsed.model, device="cpu")
    reference = model.classifier.reference
    if reference is not None and reference.probabilities:
        refuse_difference(model.difference_from_reference())  # a file that says something else must not come from here
    if parsed.out.suffix == ".onnx":
        from cxr_lightning.checkpoints.onnx import export_onnx

        for output, difference in export_onnx(model.classifier, parsed.out).items():
            print(f"{output}: largest difference from torch {difference:.1e}")
    else:
        from cxr_lightning.checkpoints.safetensors import write_safetensors

        write_safetensors(model.classifier, parsed.out)
        if reference is not None:
            again = load_model(parsed.out, device="cpu").difference_from_reference()
            print(f"reference picture, of the file read again: largest difference {again:.1e}")
    if model.fitted is None:
        print("the model carries no calibration: probabilities and raw_probabilities are the same")
    print(f"wrote {parsed.out}")
    return 0
