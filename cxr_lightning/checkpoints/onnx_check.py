"""Checks of an ONNX file that other people may have written, in a process with limited memory and time. No torch."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.metadata import parse_description
from cxr_lightning.checkpoints.metadata_model import ModelDescription
from cxr_lightning.checkpoints.onnx_graph import graph_problem
from cxr_lightning.checkpoints.onnx_session import open_session
from cxr_lightning.utils.file_names import METADATA_KEY, ONNX_IMAGES, ONNX_PROBABILITIES, ONNX_RAW_PROBABILITIES

_OUTPUTS = (ONNX_RAW_PROBABILITIES, ONNX_PROBABILITIES)
_NUMBERS = ("tensor(float)", "tensor(double)")
_MAX_BATCH, _BATCH_PIXELS = 16, 4 * 224**2
_MAX_SIZE_OF_KINDS = 640
"""Side in pixels up to which images of several kinds are run in the check: a DenseNet-121 takes 4 s for one of 1024."""
_TOLERANCE = 1e-4
"""Accepted difference of an image's probability, alone and among others: sums of float32 are grouped otherwise."""
_MAX_ROUNDING = 1e-5
"""Accepted distance of a probability from [0, 1]; calibration in float32 does not leave it at all."""


class OnnxRefusedError(ValueError):
    """Why an ONNX file is refused, as a clause."""


def max_batch(image_size: int) -> int:
    """Number of images that are computed at once: as many pixels as 4 images of 224 x 224, at least one image.

    No other number is computed but this and one image alone. The check runs both, so that memory and time are known
    however an output's size grows with the number of images. More at once would not be quicker on the processor.

    Args:
        image_size: Side of the images in pixels.

    Example:
        >>> max_batch(64), max_batch(224), max_batch(512)
        (16, 4, 1)
    """
    return max(1, min(_MAX_BATCH, _BATCH_PIXELS // image_size**2))


def handle_onnx_check(content: bytes) -> bytes:
    """Check a file; runs in the limited process.

    Args:
        content: The file's bytes.

    Returns:
        JSON with the reason, as a clause, why it is ``refused``, empty if it is not; and whether that is ``permanent``,
        so that no other machine or moment would give another result.
    """
    try:
        check_onnx(content)
    except OnnxRefusedError as error:
        return _result(str(error))
    except MemoryError:
        raise
    except Exception as error:  # onnx's and onnxruntime's errors have no common base class
        if "allocate" in str(error) or "bad_alloc" in str(error):
            raise MemoryError from error
        return _result(f"it cannot be run ({_description_of(error)})", permanent=False)
    return _result("")


def _result(refused: str, *, permanent: bool = True) -> bytes:
    return json.dumps({"refused": refused, "permanent": permanent}).encode()


def _description_of(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def check_onnx(content: bytes) -> None:
    """Check an ONNX file's graph, its description, and that it computes probabilities.

    Args:
        content: The file's bytes.

    Raises:
        OnnxRefusedError: If it is refused.
    """
    _check_graph(content)
    session = open_session(content, threads=1)
    description = read_description(session)
    _check_probabilities(session, len(description.labels), description.image_size)


def _check_graph(content: bytes) -> None:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # of onnx, an optional extra
    from onnx import load_model_from_string
    from onnx.checker import ValidationError, check_model

    try:
        model = load_model_from_string(content)
        if problem := graph_problem(model):
            raise OnnxRefusedError(problem)
        check_model(model)
    except DecodeError as error:
        raise OnnxRefusedError("it is damaged, or no ONNX file") from error
    except ValidationError as error:
        raise OnnxRefusedError(f"it is damaged ({_description_of(error)})") from error


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
        raise OnnxRefusedError(f"its description is damaged ({_description_of(error)})") from error
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
    """Run each kind of image alone and the largest batch of them; both give the same probabilities.

    A large image is run once, since it takes a network the time of many; every prediction is checked anyway.
    """
    if size > _MAX_SIZE_OF_KINDS:
        _run(session, np.random.default_rng(0).integers(0, 256, (1, 1, size, size), dtype=np.uint8), labels)
        return
    kinds: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (3, 1, size, size), dtype=np.uint8)
    kinds[0], kinds[1] = 0, 255
    alone = [_run(session, kinds[number : number + 1], labels) for number in range(len(kinds))]
    if (batch := max_batch(size)) == 1:
        return
    together = _run(session, np.resize(kinds, (batch, *kinds.shape[1:])), labels)
    for number in range(batch):
        for all_values, values in zip(together, alone[number % len(kinds)], strict=True):
            if not np.allclose(all_values[number], values[0], rtol=0, atol=_TOLERANCE, equal_nan=True):
                raise OnnxRefusedError("its probabilities of an image depend on the other images")


def _run(session: Any, images: NDArray[np.uint8], labels: int) -> list[NDArray[np.float64]]:  # noqa: ANN401  # see above
    outputs = session.run(list(_OUTPUTS), {ONNX_IMAGES: images})
    for values in outputs:
        if values.shape != (len(images), labels):
            raise OnnxRefusedError(f"it computes {values.shape} values for {len(images)} images")
    return [as_probabilities(values) for values in outputs]
