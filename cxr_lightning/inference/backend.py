"""Backends, which compute a model's probabilities; the suffix of the model file selects one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.inference.devices import MAX_THREADS
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.utils.distributed import local_world_size
from cxr_lightning.utils.subprocesses import usable_cores
from cxr_lightning.utils.validation import check_positive

Precision = Literal["float32", "bf16"]
ComputedPrecision = Literal["float32", "bf16", "int8"]
"""Precision that one asks for, and that in which a model computes: of an ONNX file, that of its export."""
LOADERS = {".onnx": "cxr_lightning.inference.onnx_backend:OnnxBackend"}
DEFAULT_LOADER = "cxr_lightning.inference.torch_backend:load_torch_backend"
"""Functions from a path and a computation to a backend, by the file's suffix, imported when they are needed: an ONNX
file needs no torch."""
MAX_CONCURRENCY = 8
"""Maximum number of batches at the same time on the processor: each takes memory for its maps."""
GPU_BATCH_SIZE = 16
"""Number of images at once on a GPU, unless another is given."""


@dataclass(frozen=True)
class Computation:
    """Where and how probabilities are computed.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; None for a GPU if there is one.
        precision: ``bf16`` multiplies in bfloat16, which is faster where the device has it, and less exact.
        threads: Number of threads; None for one per usable core, which the processes of torchrun share.
    """

    device: str | None = None
    precision: Precision = "float32"
    threads: int | None = None

    @property
    def num_threads(self) -> int:
        """Number of threads.

        Raises:
            ValueError: If it is not positive.
        """
        if self.threads is not None:
            return check_positive("threads", self.threads, maximum=MAX_THREADS)
        return max(1, usable_cores() // local_world_size())


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

    @property
    def val_auroc_by_label(self) -> Mapping[str, float]:
        """AUROC of the last validation, by label."""

    @property
    def device(self) -> str:
        """Name of the device that computes, such as ``cpu`` or ``cuda:0``."""

    @property
    def precision(self) -> ComputedPrecision:
        """Precision of the multiplications, as results record it."""

    @property
    def batch_size(self) -> int:
        """Number of images at once that suits the device."""

    @property
    def concurrency(self) -> int:
        """Number of threads that compute batches at the same time."""

    def divided_cores(self) -> AbstractContextManager[Callable[[], None]]:
        """Divide the cores among ``concurrency`` threads within a block; gives a function that each calls first."""

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """Raw and calibrated probabilities of a batch.

        Args:
            images: ``(B, S, S)`` uint8.

        Returns:
            Both ``(B, C)`` in [0, 1]; None for the calibrated ones where the backend does not compute them itself.
        """

    def check_heatmaps(self, target_layer: TargetLayer = "post_relu") -> None:
        """Refuse a target layer of which there are no heat maps.

        Args:
            target_layer: As in :meth:`heatmaps`.

        Raises:
            ValueError: If there are none.
        """

    def heatmaps(
        self, images: NDArray[np.uint8], columns: Sequence[int], target_layer: TargetLayer = "post_relu"
    ) -> NDArray[np.float32]:
        """Heat maps of a batch, each divided by its maximum; 0 everywhere without positive evidence.

        Args:
            images: ``(B, S, S)`` uint8.
            columns: Columns of the labels, L of them.
            target_layer: Layer of the network whose maps are used; ``pre_relu`` exists in DenseNets only.

        Returns:
            ``(B, L, S, S)`` in [0, 1].

        Raises:
            ValueError: If there are none.
        """


def load_backend(path: Path, computation: Computation) -> Backend:
    """The backend of a model file.

    Args:
        path: The model file.
        computation: Where and how it computes.
    """
    backend: Backend = resolve_name(LOADERS.get(path.suffix.lower(), DEFAULT_LOADER))(path, computation)
    return backend


def out_of_memory(images: int) -> MemoryError:
    """The error for a batch that does not fit into memory."""
    return MemoryError(f"for {images:,} images at once: give fewer at a time")
