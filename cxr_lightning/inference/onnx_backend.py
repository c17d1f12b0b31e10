"""Exported ONNX files, run by onnxruntime. No torch is imported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.onnx_check import OnnxRefusedError, as_probabilities, max_batch, read_description
from cxr_lightning.checkpoints.onnx_check_results import MAX_ONNX_BYTES, refusal_of
from cxr_lightning.checkpoints.onnx_session import CUDA_PROVIDER, available_providers, open_session
from cxr_lightning.explain.class_activation_maps import heatmaps_from_activation_maps
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.inference.backend import MAX_CONCURRENCY, Computation, ComputedPrecision, out_of_memory
from cxr_lightning.inference.devices import Device, gpu_of_process, no_device, parse_device
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.utils.file_names import (
    ONNX_ACTIVATION_MAPS,
    ONNX_IMAGES,
    ONNX_PROBABILITIES,
    ONNX_RAW_PROBABILITIES,
)
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.plain_text import one_line_reason
from cxr_lightning.utils.regular_files import read_limited

_PROBABILITIES = (ONNX_RAW_PROBABILITIES, ONNX_PROBABILITIES)


class OnnxBackend:
    """An exported ONNX file, run by onnxruntime.

    Args:
        path: A file that :func:`cxr_lightning.checkpoints.onnx.export_onnx` wrote.
        computation: Where it computes: on the processor, or on a GPU where onnxruntime-gpu is installed.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If this package did not export it, it is damaged, there is no such device, or the precision is not
            that of the file.
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, path: Path, computation: Computation = Computation()) -> None:  # noqa: B008  # it is frozen
        if problem := file_problem(path):
            raise FileNotFoundError(f"Expected an ONNX file at '{path}' but {problem}. Check the path.")
        _check_installed(path)
        if computation.precision != "float32":
            raise ValueError(
                f"Expected the precision float32 for '{path}' but got {computation.precision}: an ONNX file computes "
                "in that of its export. Use the checkpoint, or `cxr export --int8` for speed."
            )
        device = _usable_device(computation.device)
        content = read_limited(path, MAX_ONNX_BYTES)
        expected = f"Expected a model that `cxr export` wrote in '{path}'"
        if refusal := refusal_of(content):
            raise ValueError(f"{expected} but {refusal.reason}. {refusal.remedy}")
        on_gpu = device.kind == "cuda"
        threads = computation.num_threads
        self.concurrency = 1 if on_gpu else min(threads, MAX_CONCURRENCY)
        try:
            self._session = open_session(
                content, threads=max(1, threads // self.concurrency), gpu=device.number if on_gpu else None
            )
            description = read_description(self._session)
        except Exception as error:  # onnxruntime's errors have no common base class
            raise ValueError(
                f"{expected} but it cannot be run ({one_line_reason(error, 300)}). Export it again."
            ) from error
        if on_gpu and self._session.get_providers()[0] != CUDA_PROVIDER:
            if computation.device is not None:
                raise no_device(computation.device, "onnxruntime cannot use CUDA here")
            on_gpu = False
        self.device = f"cuda:{device.number}" if on_gpu else "cpu"
        self.labels = tuple(description.labels)
        self.image_size = description.image_size
        self.interpolation: Interpolation = description.interpolation
        self.metadata: Mapping[str, Any] = description.record
        # Threads on the processor are as quick with one image each, which takes least memory.
        self.batch_size = max_batch(self.image_size) if on_gpu else 1
        self.precision: ComputedPrecision = "int8" if self.metadata.get("quantization") else "float32"
        self._path = path

    @property
    def val_auroc_by_label(self) -> dict[str, float]:
        """AUROC of the last validation, by label."""
        return {label: null_to_nan(value) for label, value in (self.metadata.get("val_auroc") or {}).items()}

    def divided_cores(self) -> AbstractContextManager[Callable[[], None]]:
        """See :class:`~cxr_lightning.inference.backend.Backend`; the session divides them."""
        return nullcontext(lambda: None)

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`~cxr_lightning.inference.backend.Backend`."""
        parts = [self._probabilities(part) for part in self._parts(images)]
        raw, calibrated = (np.concatenate(values) for values in zip(*parts, strict=True))
        return raw, calibrated

    def _parts(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Batches of the sizes that were checked: the largest one, and the rest one by one."""
        step = max_batch(self.image_size)
        full = len(images) - len(images) % step
        yield from (images[start : start + step] for start in range(0, full, step))
        yield from (images[number : number + 1] for number in range(full, len(images)))

    def _probabilities(self, images: NDArray[np.uint8]) -> list[FloatArray]:
        try:
            return [as_probabilities(values) for values in self._run(_PROBABILITIES, images)]
        except OnnxRefusedError as error:
            raise ValueError(
                f"Expected probabilities from '{self._path}' but {error}. Export the model again."
            ) from error

    def _run(self, names: Sequence[str], images: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
        try:
            outputs: list[NDArray[np.floating]] = self._session.run(list(names), {ONNX_IMAGES: images[:, None]})
        except Exception as error:  # see above
            if "allocate" in str(error):
                raise out_of_memory(len(images)) from error
            raise ValueError(
                f"Expected onnxruntime to run '{self._path}' but got {type(error).__name__}. Export it again."
            ) from error
        return outputs

    def check_heatmaps(self, target_layer: TargetLayer = "post_relu") -> None:
        """See :class:`~cxr_lightning.inference.backend.Backend`."""
        names = [output.name for output in self._session.get_outputs()]
        if target_layer != "post_relu":
            raise ValueError(
                f"Expected the target layer post_relu for '{self._path}' but got {target_layer}: an ONNX file has maps "
                "of that layer alone. Use the checkpoint."
            )
        if ONNX_ACTIVATION_MAPS not in names:
            raise ValueError(
                f"Expected class-activation maps in '{self._path}' but it computes {names}: its network does not end "
                "in global average pooling and a linear layer. Use the checkpoint, of which Grad-CAM is computed."
            )

    def heatmaps(
        self, images: NDArray[np.uint8], columns: Sequence[int], target_layer: TargetLayer = "post_relu"
    ) -> NDArray[np.float32]:
        """See :class:`~cxr_lightning.inference.backend.Backend`; computed from the file's class-activation maps."""
        self.check_heatmaps(target_layer)
        parts = [self._activation_maps(images[number : number + 1]) for number in range(len(images))]
        chosen = np.concatenate(parts)[:, list(columns)]
        if not np.isfinite(chosen).all():
            raise ValueError(
                f"Expected class-activation maps from '{self._path}' but got values that are not numbers. Export the "
                "model again."
            )
        return heatmaps_from_activation_maps(chosen, self.image_size)

    def _activation_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (maps,) = self._run([ONNX_ACTIVATION_MAPS], images)
        if maps.ndim != 4 or maps.shape[:2] != (len(images), len(self.labels)) or 0 in maps.shape:
            raise ValueError(
                f"Expected class-activation maps of {len(self.labels)} findings from '{self._path}' but got "
                f"{maps.shape}. Export the model again."
            )
        return maps.astype(np.float32)


def _usable_device(name: str | None) -> Device:
    """The device with a name; without a number, the processes of torchrun or srun have one GPU each."""
    if name is None:
        return Device("cuda", gpu_of_process()) if CUDA_PROVIDER in available_providers() else Device("cpu")
    device = Device("cuda", gpu_of_process()) if name == "cuda" else parse_device(name)
    if device.kind == "mps":
        raise no_device(name, "an ONNX file runs on cpu and cuda")
    if device.kind == "cuda" and CUDA_PROVIDER not in available_providers():
        raise no_device(name, "onnxruntime is installed without CUDA: install onnxruntime-gpu in its place")
    return device


def _check_installed(path: Path) -> None:
    try:
        import onnxruntime  # noqa: F401  # of an optional extra

        absent = "" if find_spec("onnx") else "onnx"  # for the check, in a process of its own
    except ImportError as error:
        absent = str(error.name)
    if absent:
        raise ImportError(
            f"Expected the packages of the extra onnx for '{path}' but '{absent}' is not installed. "
            "Run: uv sync --extra onnx, or pip install onnx onnxruntime."
        )
