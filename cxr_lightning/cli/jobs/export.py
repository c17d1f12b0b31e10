"""The job of cxr export."""

import argparse

from cxr_lightning.checkpoints.installation_check import difference_from_reference, refuse_difference
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.checkpoints.safetensors import write_safetensors
from cxr_lightning.inference.predictor import load_model


def export(parsed: argparse.Namespace) -> int:
    """Export the model, and print how far its outputs are from those of the checkpoint."""
    predictor = load_model(parsed.model, device="cpu")
    model = predictor.classifier
    if model.reference is not None and model.reference.probabilities:
        refuse_difference(difference_from_reference(model))  # the file is compared with this installation only
    if parsed.out.suffix == ".onnx":
        for output, difference in export_onnx(model, parsed.out).items():
            print(f"{output}: largest difference from torch {difference:.1e}")
    else:
        write_safetensors(model, parsed.out)
        if model.reference is not None:
            again = difference_from_reference(load_classifier(str(parsed.out)))
            print(f"reference image, of the file read again: largest difference {again:.1e}")
    if predictor.postprocessing is None:
        print("the model carries no calibration: probabilities and raw_probabilities are the same")
    print(f"wrote {parsed.out}")
    return 0
