"""Backends, which compute a model's probabilities; the suffix of the model file selects one."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.metrics.ranking import FloatArray

LOADERS = {".onnx": "cxr_lightning.inference.onnx_backend:OnnxBackend"}
DEFAULT_LOADER = "cxr_lightning.inference.torch_backend:load_torch_backend"
"""Functions from a path and a device to a backend, by the file's suffix, imported when they are needed: an ONNX file
needs no torch."""


class Backend(Protocol):
    """A trained network that gives probabilities of decoded images, and its metadata."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The findings, in order."""

    @property
    def image_size(self) -> int:
        """Side of the images in pixels, S."""

    @property
    def interpolation(self) -> Interpolation:
        """Interpolation with which images are resized."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of the training, and the post-processing."""

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """Raw and calibrated probabilities of a batch.

        Args:
            images: ``(B, S, S)`` uint8.

        Returns:
            Both ``(B, C)`` in [0, 1]; None for the calibrated ones where the backend does not compute them itself.
        """


def load_backend(path: Path, device: str | None) -> Backend:
    """The backend of a model file.

    Args:
        path: The model file.
        device: Device name, such as ``cpu`` or ``cuda``; None for the default.
    """
    backend: Backend = resolve_name(LOADERS.get(path.suffix, DEFAULT_LOADER))(path, device)
    return backend


def out_of_memory(images: int) -> MemoryError:
    """The error for a batch that does not fit into memory."""
    return MemoryError(f"for {images:,} images at once: give fewer at a time")
