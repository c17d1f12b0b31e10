"""Checkpoints, safetensors files and weights in foreign formats, run by torch. Lightning is not imported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_lightning.checkpoints.foreign.build import build_foreign_model
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.read import load_trained_model
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.inference.backend import (
    GPU_BATCH_SIZE,
    MAX_CONCURRENCY,
    Computation,
    ComputedPrecision,
    out_of_memory,
)
from cxr_lightning.inference.devices import gpu_of_process, no_device, parse_device
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.models.trained_model import TrainedModel
from cxr_lightning.utils.global_settings import GlobalSetting
from cxr_lightning.utils.precision import exact_float32
from cxr_lightning.utils.validation import check_choice

_GRAD_CAM = "cxr_lightning.explain.grad_cam:GradCam"
_HEATMAPS = "cxr_lightning.explain.heatmaps:image_heatmaps"
"""Imported for heat maps alone, since they import captum."""
_num_threads = GlobalSetting(torch.get_num_threads, torch.set_num_threads)
_BATCH_SIZE = 4
"""Number of images at once on the processor, where more are not quicker."""


class TorchBackend:
    """A model run by torch.

    Args:
        model: The model, on the device to compute on.
        computation: How it computes there.
    """

    def __init__(self, model: TrainedModel, computation: Computation = Computation()) -> None:  # noqa: B008  # it is frozen
        model.network.eval()
        self.model = model
        self.precision: ComputedPrecision = computation.precision
        self.labels = model.labels
        self.image_size = int(model.hparams["image_size"])
        self.interpolation: Interpolation = check_choice("interpolation", model.hparams["interpolation"], Interpolation)
        self.metadata: Mapping[str, Any] = model.metadata
        self.val_auroc_by_label: Mapping[str, float] = model.val_auroc_by_label
        self._on_cpu = model.network.device.type == "cpu"
        self._threads = computation.num_threads
        self.batch_size = _BATCH_SIZE if self._on_cpu else GPU_BATCH_SIZE
        self.concurrency = min(self._threads, MAX_CONCURRENCY) if self._on_cpu else 1

    @property
    def device(self) -> str:
        """Name of the device that computes."""
        return str(self.model.network.device)

    @contextmanager
    def divided_cores(self) -> Iterator[Callable[[], None]]:
        """See :class:`~cxr_lightning.inference.backend.Backend`.

        Torch's own division of a batch among threads is slower than a batch in each of several threads. Its number of
        threads is one of each thread, and of all that begin later, which is restored.
        """

        def start_thread() -> None:
            torch.get_num_threads()  # has torch set the thread up, which would come after the next line otherwise
            torch.set_num_threads(max(1, self._threads // self.concurrency))

        with _num_threads.kept():
            yield start_thread if self._on_cpu else lambda: None

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`~cxr_lightning.inference.backend.Backend`."""
        network = self.model.network
        try:
            with torch.inference_mode(), exact_float32(), self._autocast():
                batch = _as_tensor(images).to(network.device)
                # In float64: float32 rounds a probability near 1 to 1, from which calibration differs.
                probabilities: FloatArray = network(batch).float().cpu().double().sigmoid().numpy()
        except RuntimeError as error:  # only the GPU's memory has an error class of its own
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise out_of_memory(len(images)) from error
            raise
        return probabilities, None

    def _autocast(self) -> AbstractContextManager[object]:
        return (
            torch.autocast(self.model.network.device.type, torch.bfloat16)
            if self.precision == "bf16"
            else nullcontext()
        )

    def check_heatmaps(self, target_layer: TargetLayer = "post_relu") -> None:
        """See :class:`~cxr_lightning.inference.backend.Backend`."""
        resolve_name(_GRAD_CAM)(self.model.network, target_layer)

    def heatmaps(
        self, images: NDArray[np.uint8], columns: Sequence[int], target_layer: TargetLayer = "post_relu"
    ) -> NDArray[np.float32]:
        """See :class:`~cxr_lightning.inference.backend.Backend`; Grad-CAM, in float32."""
        grad_cam = resolve_name(_GRAD_CAM)(self.model.network, target_layer)
        with exact_float32():
            maps: NDArray[np.float32] = resolve_name(_HEATMAPS)(grad_cam, _as_tensor(images), columns).numpy()
        return maps


def _as_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """Images ``(B, S, S)`` as a tensor ``(B, 1, S, S)``; torch takes no array that may not be written."""
    return torch.from_numpy(images if images.flags.writeable else images.copy())[:, None]


def load_torch_backend(path: Path, computation: Computation = Computation()) -> TorchBackend:  # noqa: B008  # it is frozen
    """The backend of a checkpoint, a safetensors file or weights in a foreign format.

    Args:
        path: The model file.
        computation: Where and how it computes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no model file, lacks required metadata, or there is no such device.
    """
    chosen = usable_device(computation.device)
    name = str(path)
    model = (
        build_foreign_model(resolve_foreign_model(name, ForeignSettings()))
        if is_foreign_file(name)
        else load_trained_model(name)
    )
    try:
        model.network.to(chosen)
    except (RuntimeError, AssertionError) as error:  # torch has no error class of its own for this
        raise no_device(str(chosen), " ".join(str(error).split(". ")[0].split())) from error
    return TorchBackend(model, computation)


def usable_device(name: str | None) -> torch.device:
    """The device with a name.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; None for a GPU if there is one, else the CPU. Without a number,
            the processes of torchrun or srun have one GPU each.

    Raises:
        ValueError: If it is another name, or there is no such device.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name is None else name
    if problem := _device_problem(chosen):
        raise no_device(chosen, problem)
    return torch.device("cuda", gpu_of_process(torch.cuda.device_count())) if chosen == "cuda" else torch.device(chosen)


def _device_problem(name: str) -> str:
    device = parse_device(name)
    if device.kind == "mps":
        return "" if torch.backends.mps.is_available() else "there is no MPS here"
    if device.kind == "cpu":
        return ""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        return "there is no CUDA GPU here"
    return f"there are {count}, from cuda:0 on" if device.number >= count else ""
