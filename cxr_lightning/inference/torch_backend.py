"""Checkpoints, safetensors files and weights in foreign formats, run by torch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_lightning.checkpoints.foreign.build import build_foreign_classifier
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.inference.backend import out_of_memory
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.precision import exact_float32
from cxr_lightning.utils.validation import check_choice

_DEVICE = re.compile(r"(?P<kind>cpu|mps|cuda)(?:(?<=cuda):(?P<number>[0-9]{1,3}))?")


class TorchBackend:
    """A model run by torch.

    Args:
        classifier: The model, on the device to compute on.
    """

    def __init__(self, classifier: ChestXRayClassifier) -> None:
        self.classifier = classifier.eval()
        self.labels = classifier.labels
        self.image_size = int(classifier.hparams["image_size"])
        self.interpolation: Interpolation = check_choice(
            "interpolation", classifier.hparams["interpolation"], Interpolation
        )
        self.metadata: Mapping[str, Any] = classifier.metadata

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`~cxr_lightning.inference.backend.Backend`; the network computes in float32."""
        network = self.classifier.network
        try:
            with torch.inference_mode(), exact_float32():
                batch = torch.from_numpy(images)[:, None].to(network.device)
                # In float64: float32 rounds a probability near 1 to 1, from which calibration differs.
                probabilities: FloatArray = network(batch).float().cpu().double().sigmoid().numpy()
        except RuntimeError as error:  # only the GPU's memory has an error class of its own
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise out_of_memory(len(images)) from error
            raise
        return probabilities, None


def load_torch_backend(path: Path, device: str | None = None) -> TorchBackend:
    """The backend of a checkpoint, a safetensors file or weights in a foreign format.

    Args:
        path: The model file.
        device: Device name; None for a GPU if there is one, else the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no model file, lacks required metadata, or there is no such device.
    """
    chosen = usable_device(device)
    name = str(path)
    classifier = (
        build_foreign_classifier(resolve_foreign_model(name, ForeignSettings()))
        if is_foreign_file(name)
        else load_classifier(name)
    )
    try:
        classifier = classifier.to(chosen)
    except (RuntimeError, AssertionError) as error:  # torch has no error class of its own for this
        reason = " ".join(str(error).split(". ")[0].split())
        raise ValueError(f"Expected a usable device but got '{chosen}' ({reason}). Use cpu.") from error
    return TorchBackend(classifier)


def usable_device(name: str | None) -> torch.device:
    """The device with a name.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; None for a GPU if there is one, else the CPU.

    Raises:
        ValueError: If it is another name, or there is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if problem := _device_problem(name):
        raise ValueError(f"Expected a usable device but got '{name}' ({problem}). Use cpu.")
    return torch.device(name)


def _device_problem(name: str) -> str:
    if (found := _DEVICE.fullmatch(name)) is None:
        return "the devices are cpu, cuda, cuda:N and mps"
    if found["kind"] == "mps":
        return "" if torch.backends.mps.is_available() else "there is no MPS here"
    if found["kind"] == "cpu":
        return ""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        return "there is no CUDA GPU here"
    return f"there are {count}, from cuda:0 on" if int(found["number"] or 0) >= count else ""
