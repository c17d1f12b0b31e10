"""What computes a model's probabilities: torch, or onnxruntime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_lightning.checkpoints.onnx import IMAGES, PROBABILITIES, RAW
from cxr_lightning.checkpoints.safetensors import checked_description
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.labels import check_labels
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.precision import exact_float32
from cxr_lightning.utils.torch_io import RECORD_KEY
from cxr_lightning.utils.validation import check_choice

Array = NDArray[np.float64]


class Network(Protocol):
    """Decoded images to raw probabilities, and what is known of it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The findings, in order."""

    @property
    def image_size(self) -> int:
        """Side of the images in pixels, S."""

    @property
    def interpolation(self) -> Interpolation:
        """How images are resized to it."""

    @property
    def record(self) -> Mapping[str, Any]:
        """What the file says of its training and of what was fitted."""

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[Array, Array | None]:
        """Raw and calibrated probabilities, ``(B, C)`` in [0, 1], of ``(B, S, S)`` uint8.

        The network computes in float32; calibrated ones are None where it does not compute them itself.
        """


class TorchNetwork:
    """A checkpoint's.

    Args:
        classifier: On the device that is to compute.
    """

    def __init__(self, classifier: ChestXRayClassifier) -> None:
        self.classifier = classifier.eval()
        self.labels = classifier.labels
        self.image_size = int(classifier.hparams["image_size"])
        self.interpolation: Interpolation = check_choice(
            "interpolation", classifier.hparams["interpolation"], Interpolation
        )
        self.record: Mapping[str, Any] = classifier.record

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[Array, Array | None]:
        """See :class:`Network`."""
        try:
            with torch.inference_mode(), exact_float32():
                batch = torch.from_numpy(images)[:, None].to(self.classifier.device)
                # In float64, where a probability near 1 is not yet 1, which calibration would tell apart from it.
                found: Array = self.classifier(batch).float().cpu().double().sigmoid().numpy()
        except RuntimeError as error:  # the GPU's memory has a kind of its own, the processor's has not
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise _no_memory(len(images)) from error
            raise
        return found, None


class OnnxNetwork:
    """An exported file's, run by onnxruntime on the processor.

    Args:
        path: Written by :func:`cxr_lightning.checkpoints.onnx.export_onnx`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of ours, or is damaged.
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"Expected an ONNX file at '{path}' but there is no such file. Check the path.")
        try:
            from onnxruntime import InferenceSession
        except ImportError as error:
            raise ImportError(
                f"Expected onnxruntime for '{path}' but it is not installed. Run: uv sync --extra onnx."
            ) from error
        try:
            self._session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
            about = checked_description(self._session.get_modelmeta().custom_metadata_map[RECORD_KEY])
            self.labels = check_labels(about["labels"])
            self.image_size = int(about["image_size"])
            _check_shapes(self._session, len(self.labels), self.image_size)
            self.interpolation: Interpolation = check_choice("interpolation", about["interpolation"], Interpolation)
            self.record: Mapping[str, Any] = about["record"]
            self._path = path
        except Exception as error:  # onnxruntime's errors have no common kind
            raise ValueError(
                f"Expected a model that `cxr export` wrote in '{path}' but it is none, or is damaged "
                f"({type(error).__name__}). Export it again."
            ) from error

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[Array, Array | None]:
        """See :class:`Network`."""
        try:
            raw, calibrated = self._session.run([RAW, PROBABILITIES], {IMAGES: images[:, None]})
        except Exception as error:  # as above
            if "allocate" in str(error):
                raise _no_memory(len(images)) from error
            raise ValueError(
                f"Expected onnxruntime to run '{self._path}' but got {type(error).__name__}. Export it again."
            ) from error
        return raw.astype(np.float64), calibrated.astype(np.float64)


def _check_shapes(session: Any, labels: int, size: int) -> None:  # noqa: ANN401  # onnxruntime has no types
    shapes = {one.name: one.shape[1:] for one in (*session.get_inputs(), *session.get_outputs())}
    expected = {IMAGES: [1, size, size], PROBABILITIES: [labels], RAW: [labels]}
    if any(shapes.get(name) != shape for name, shape in expected.items()):
        raise ValueError(f"inputs and outputs are {shapes}")


def _no_memory(images: int) -> MemoryError:
    return MemoryError(f"for {images:,} images at once: give fewer at a time")
