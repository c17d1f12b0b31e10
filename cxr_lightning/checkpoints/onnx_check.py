"""Checks of an ONNX file that other people may have written, in a process with limited memory and time. No torch."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.metadata import parse_description
from cxr_lightning.checkpoints.metadata_model import ModelDescription
from cxr_lightning.checkpoints.onnx_graph import graph_problem
from cxr_lightning.utils.file_names import METADATA_KEY, ONNX_IMAGES, ONNX_PROBABILITIES, ONNX_RAW_PROBABILITIES

_OUTPUTS = (ONNX_RAW_PROBABILITIES, ONNX_PROBABILITIES)
_NUMBERS = ("tensor(float)", "tensor(double)")
_MAX_BATCH, _BATCH_PIXELS = 16, 16 * 224**2
_TOLERANCE = 1e-4
"""Accepted difference of an image's probability, alone and among others: sums of float32 are grouped otherwise."""
_MAX_ROUNDING = 1e-5
"""Accepted distance of a probability from [0, 1]; calibration in float32 does not leave it at all."""


class OnnxRefusedError(ValueError):
    """Why an ONNX file is refused, as a clause."""


def max_batch(image_size: int) -> int:
    """Number of images that are computed at once: as many pixels as 16 images of 224 x 224, at least one image.

    Args:
        image_size: Side of the images in pixels.

    Example:
        >>> max_batch(224), max_batch(512), max_batch(2048)
        (16, 3, 1)
    """
    return max(1, min(_MAX_BATCH, _BATCH_PIXELS // image_size**2))


def answer_check(content: bytes) -> bytes:
    """Check a file; runs in the limited process.

    Args:
        content: The file's bytes.

    Returns:
        JSON with the reason, as a clause, why it is ``refused``; empty if it is not.
    """
    try:
        check_onnx(content)
    except OnnxRefusedError as error:
        return json.dumps({"refused": str(error)}).encode()
    except MemoryError:
        raise
    except Exception as error:  # onnx's and onnxruntime's errors have no common base class
        if "allocate" in str(error) or "bad_alloc" in str(error):
            raise MemoryError from error
        reason = " ".join(str(error).split())[:200]
        return json.dumps({"refused": f"it is damaged ({type(error).__name__}: {reason})"}).encode()
    return json.dumps({"refused": ""}).encode()


def check_onnx(content: bytes) -> None:
    """Check an ONNX file's graph, its description, and that it computes probabilities.

    Args:
        content: The file's bytes.

    Raises:
        OnnxRefusedError: If it is refused.
    """
    from onnx import load_model_from_string
    from onnx.checker import check_model

    model = load_model_from_string(content)
    if problem := graph_problem(model):
        raise OnnxRefusedError(problem)
    check_model(model)
    del model
    session = open_session(content, threads=1)
    description = read_description(session)
    _check_probabilities(session, len(description.labels), description.image_size)


def open_session(content: bytes, *, threads: int = 0) -> Any:  # noqa: ANN401  # onnxruntime has no types
    """A session of onnxruntime on the processor.

    Args:
        content: The file's bytes.
        threads: Number of threads; 0 for one per core.
    """
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong is in the exception
    return InferenceSession(content, options, providers=["CPUExecutionProvider"])


def read_description(session: Any) -> ModelDescription:  # noqa: ANN401  # see above
    """The description in a file, which its inputs and outputs fit.

    Args:
        session: The file's session.

    Raises:
        OnnxRefusedError: If it has none, or it does not fit.
    """
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise OnnxRefusedError("it has no description of `cxr export`")
    try:
        description = parse_description(text)
    except ValueError as error:
        raise OnnxRefusedError(str(error)) from error
    labels, size = len(description.labels), description.image_size
    inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    if [value.name for value in inputs] != [ONNX_IMAGES] or inputs[0].type != "tensor(uint8)":
        raise OnnxRefusedError(f"its inputs are {[(value.name, value.type) for value in inputs][:5]}")
    if list(inputs[0].shape[1:]) != [1, size, size]:
        raise OnnxRefusedError(f"its input is {inputs[0].shape}, and its description says {size} pixels")
    for name in _OUTPUTS:
        if name not in outputs or outputs[name].type not in _NUMBERS or list(outputs[name].shape[1:]) != [labels]:
            raise OnnxRefusedError(
                f"its outputs are {[(one.name, one.type, one.shape) for one in outputs.values()][:5]}"
            )
    return description


def as_probabilities(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Check what an ONNX file computed, and return it as float64 in [0, 1].

    Args:
        values: ``(B, C)``; NaN where a label was not trained.

    Raises:
        OnnxRefusedError: If a value is no probability.
    """
    found = values.astype(np.float64)
    wrong = found[(found < -_MAX_ROUNDING) | (found > 1 + _MAX_ROUNDING)]
    if wrong.size:
        raise OnnxRefusedError(f"it computes {wrong[0]:.6g}, which is no probability")
    return np.clip(found, 0, 1)


def _check_probabilities(session: Any, labels: int, size: int) -> None:  # noqa: ANN401  # see above
    """Run the largest batch and each kind of image alone; both give the same probabilities."""
    generator = np.random.default_rng(0)
    images: NDArray[np.uint8] = generator.integers(0, 256, (max_batch(size), 1, size, size), dtype=np.uint8)
    images[:1], images[1:2] = 0, 255
    together = session.run(list(_OUTPUTS), {ONNX_IMAGES: images})
    for number in range(min(3, len(images))):
        alone = session.run(list(_OUTPUTS), {ONNX_IMAGES: images[number : number + 1]})
        for all_values, values in zip(together, alone, strict=True):
            if all_values.shape != (len(images), labels) or values.shape != (1, labels):
                raise OnnxRefusedError(f"it computes {all_values.shape} values for {len(images)} images")
            as_probabilities(all_values)
            if not np.allclose(all_values[number], values[0], rtol=0, atol=_TOLERANCE, equal_nan=True):
                raise OnnxRefusedError("its probabilities of an image depend on the other images")
