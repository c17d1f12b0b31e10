"""Write a trained model as ONNX or safetensors, and compare the file with the model."""

from pathlib import Path

from cxr_lightning.checkpoints.installation_check import difference_from_reference, refuse_difference
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.checkpoints.read import load_trained_model
from cxr_lightning.checkpoints.safetensors import write_safetensors
from cxr_lightning.models.trained_model import TrainedModel


def export_classifier(model: TrainedModel, path: Path) -> dict[str, float]:
    """Write a model as ONNX or safetensors, by the file's suffix.

    Args:
        model: A trained model.
        path: File to write, ``.onnx`` or ``.safetensors``; must not exist.

    Returns:
        Largest differences of the file's outputs from the model's, by a phrase for people that states which.

    Raises:
        ValueError: If there is such a file, or this installation computes other probabilities than the one that saved
            the model.
        ImportError: If the extra onnx is missing.
    """
    if model.reference is not None and model.reference.probabilities:
        refuse_difference(difference_from_reference(model))  # the file is compared with this installation only
    if path.suffix == ".onnx":
        differences = export_onnx(model, path)
        return {f"{name}: largest difference from torch": difference for name, difference in differences.items()}
    write_safetensors(model, path)
    if model.reference is None:
        return {}
    again = difference_from_reference(load_trained_model(str(path)))
    return {"reference image, of the file read again: largest difference": again}
