"""What computes a model's probabilities: torch, or onnxruntime."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_lightning.data.images import Interpolation
from cxr_lightning.export import IMAGES, RAW
from cxr_lightning.labels import check_labels
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.precision import exact_float32
from cxr_lightning.torch_files import RECORD_KEY


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

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Of ``(B, S, S)`` uint8, ``(B, C)`` in [0, 1], computed in float32."""


class TorchNetwork:
    """A checkpoint's.

    Args:
        classifier: On the device that is to compute.
    """

    def __init__(self, classifier: ChestXRayClassifier) -> None:
        self.classifier = classifier.eval()
        self.labels = classifier.labels
        self.image_size = int(classifier.hparams["image_size"])
        self.interpolation: Interpolation = classifier.hparams["interpolation"]
        self.record: Mapping[str, Any] = classifier.record

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """See :class:`Network`."""
        try:
            with torch.inference_mode(), exact_float32():
                batch = torch.from_numpy(images)[:, None].to(self.classifier.device)
                found: NDArray[np.float64] = self.classifier(batch).float().sigmoid().double().cpu().numpy()
        except RuntimeError as error:  # the GPU's memory has a kind of its own, the processor's has not
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise _no_memory(len(images)) from error
            raise
        return found


class OnnxNetwork:
    """An exported file's, run by onnxruntime on the processor.

    Args:
        path: Written by :func:`cxr_lightning.export.export_onnx`.

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
            text = self._session.get_modelmeta().custom_metadata_map[RECORD_KEY]
            about = json.loads(text)
            self.labels = check_labels(about["labels"])
            self.image_size = int(about["image_size"])
            self.interpolation: Interpolation = about["interpolation"]
            self.record: Mapping[str, Any] = about["record"]
            self._path = path
        except Exception as error:  # onnxruntime's errors have no common kind
            raise ValueError(
                f"Expected a model that `cxr export` wrote in '{path}' but it is none ({type(error).__name__}). "
                "Export it again."
            ) from error

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """See :class:`Network`."""
        try:
            (raw,) = self._session.run([RAW], {IMAGES: images[:, None]})
        except Exception as error:  # as above
            if "allocate" in str(error):
                raise _no_memory(len(images)) from error
            raise ValueError(
                f"Expected onnxruntime to run '{self._path}' but got {type(error).__name__}. Export it again."
            ) from error
        found: NDArray[np.float64] = np.asarray(raw, dtype=np.float64)
        return found


def _no_memory(images: int) -> MemoryError:
    return MemoryError(f"Expected memory for {images:,} images at once but there is not enough. Give fewer at a time.")
