"""Exported ONNX files, run by onnxruntime on the processor. No torch is imported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.metadata import parse_description
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.inference.backend import out_of_memory
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.file_names import METADATA_KEY, ONNX_IMAGES, ONNX_PROBABILITIES, ONNX_RAW_PROBABILITIES
from cxr_lightning.utils.paths import file_problem


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
        try:
            from onnxruntime import InferenceSession
        except ImportError as error:
            raise ImportError(
                f"Expected onnxruntime for '{path}' but it is not installed. Run: uv sync --extra onnx."
            ) from error
        try:
            self._session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
            description = parse_description(self._session.get_modelmeta().custom_metadata_map[METADATA_KEY])
            self.labels = tuple(description.labels)
            self.image_size = description.image_size
            _check_shapes(self._session, len(self.labels), self.image_size)
            self.interpolation: Interpolation = description.interpolation
            self.metadata: Mapping[str, Any] = description.record
            self._path = path
        except Exception as error:  # onnxruntime's errors have no common base class
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"Expected a model that `cxr export` wrote in '{path}' but it is none, or is damaged "
                f"({type(error).__name__}: {reason}). Export it again."
            ) from error

    def probabilities(self, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`~cxr_lightning.inference.backend.Backend`."""
        try:
            raw, calibrated = self._session.run(
                [ONNX_RAW_PROBABILITIES, ONNX_PROBABILITIES], {ONNX_IMAGES: images[:, None]}
            )
        except Exception as error:  # see above
            if "allocate" in str(error):
                raise out_of_memory(len(images)) from error
            raise ValueError(
                f"Expected onnxruntime to run '{self._path}' but got {type(error).__name__}. Export it again."
            ) from error
        return raw.astype(np.float64), calibrated.astype(np.float64)


def _check_shapes(session: Any, labels: int, size: int) -> None:  # noqa: ANN401  # onnxruntime has no types
    shapes = {value.name: value.shape[1:] for value in (*session.get_inputs(), *session.get_outputs())}
    expected = {ONNX_IMAGES: [1, size, size], ONNX_PROBABILITIES: [labels], ONNX_RAW_PROBABILITIES: [labels]}
    if any(shapes.get(name) != shape for name, shape in expected.items()):
        raise ValueError(f"inputs and outputs are {shapes}")
