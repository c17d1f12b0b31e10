"""Exported ONNX files, run by onnxruntime on the processor. No torch is imported."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.onnx_check import (
    OnnxRefusedError,
    as_probabilities,
    max_batch,
    open_session,
    read_description,
)
from cxr_lightning.checkpoints.onnx_check_results import MAX_ONNX_BYTES, refusal_of
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.inference.backend import out_of_memory
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.file_names import ONNX_IMAGES, ONNX_PROBABILITIES, ONNX_RAW_PROBABILITIES
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.plain_text import one_line_reason
from cxr_lightning.utils.regular_files import read_limited


class OnnxBackend:
    """An exported ONNX file, run by onnxruntime on the processor.

    Args:
        path: A file that :func:`cxr_lightning.checkpoints.onnx.export_onnx` wrote.
        device: ``cpu`` or None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If this package did not export it, it is damaged, or another device is requested.
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        if device not in (None, "cpu"):
            raise ValueError(f"Expected the device cpu for '{path}' but got '{device}'. Leave it out.")
        if problem := file_problem(path):
            raise FileNotFoundError(f"Expected an ONNX file at '{path}' but {problem}. Check the path.")
        _check_installed(path)
        content = read_limited(path, MAX_ONNX_BYTES)
        expected = f"Expected a model that `cxr export` wrote in '{path}'"
        if refusal := refusal_of(content):
            raise ValueError(f"{expected} but {refusal.reason}. {refusal.remedy}")
        try:
            self._session = open_session(content)
            description = read_description(self._session)
        except Exception as error:  # onnxruntime's errors have no common base class
            raise ValueError(
                f"{expected} but it cannot be run ({one_line_reason(error, 300)}). Export it again."
            ) from error
        self.labels = tuple(description.labels)
        self.image_size = description.image_size
        self.interpolation: Interpolation = description.interpolation
        self.metadata: Mapping[str, Any] = description.record
        self._path = path

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`~cxr_lightning.inference.backend.Backend`."""
        parts = [self._run(part) for part in self._parts(images)]
        raw, calibrated = (np.concatenate(values) for values in zip(*parts, strict=True))
        return raw, calibrated

    def _parts(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Batches of the sizes that were checked: the largest one, and the rest one by one."""
        step = max_batch(self.image_size)
        full = len(images) - len(images) % step
        yield from (images[start : start + step] for start in range(0, full, step))
        yield from (images[number : number + 1] for number in range(full, len(images)))

    def _run(self, images: NDArray[np.uint8]) -> list[FloatArray]:
        names = [ONNX_RAW_PROBABILITIES, ONNX_PROBABILITIES]
        try:
            return [as_probabilities(values) for values in self._session.run(names, {ONNX_IMAGES: images[:, None]})]
        except OnnxRefusedError as error:
            raise ValueError(
                f"Expected probabilities from '{self._path}' but {error}. Export the model again."
            ) from error
        except Exception as error:  # see above
            if "allocate" in str(error):
                raise out_of_memory(len(images)) from error
            raise ValueError(
                f"Expected onnxruntime to run '{self._path}' but got {type(error).__name__}. Export it again."
            ) from error


def _check_installed(path: Path) -> None:
    try:
        import onnx  # noqa: F401  # of an optional extra, for the check
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Expected the packages of the extra onnx for '{path}' but '{error.name}' is not installed. "
            "Run: uv sync --extra onnx."
        ) from error
