"""An exported ONNX file with convolutions in int8: less work for the processor, for some loss of accuracy."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.onnx_check import max_batch
from cxr_lightning.utils.file_names import METADATA_KEY, ONNX_IMAGES
from cxr_lightning.utils.json_values import parse_json

if TYPE_CHECKING:
    from onnx import ModelProto

QUANTIZATION_METHOD = (
    "static QDQ of onnxruntime: convolutions after the first one with uint8 activations, whose ranges are by minimum "
    "and maximum, and int8 weights of 7 bits, symmetric per channel; everything else in float32"
)
"""How a file is quantized, for people.

Of the ways that were tried on a DenseNet-121 this one is near the least loss of AUROC: percentiles as ranges lose more,
as do few images, and the first convolution in int8 loses twice as much. Weights have 7 bits, since processors without
VNNI add pairs of products in 16 bits: 2 * 255 * 64 fits, 2 * 255 * 127 is cut off, and the same file would compute
something else there.
"""


class _Batches:
    """Batches of images as onnxruntime's quantizer reads them, one by one."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        step = max_batch(images.shape[1])
        self._batches = iter([images[start : start + step, None] for start in range(0, len(images), step)])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch by the input's name; None after the last one."""
        batch = next(self._batches, None)
        return None if batch is None else {ONNX_IMAGES: batch}


def quantize_onnx(source: Path, target: Path, images: NDArray[np.uint8]) -> int:
    """Write an exported ONNX file again with its convolutions in int8; inputs, outputs and metadata stay.

    Args:
        source: A file that :func:`~cxr_lightning.checkpoints.onnx.export_onnx` wrote.
        target: File to write.
        images: Images from which the ranges of activations are computed, ``(N, S, S)`` uint8.

    Returns:
        Number of convolutions in int8.

    Raises:
        ValueError: If the network has no convolution after the first one.
    """
    import onnx  # of an optional extra
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    description = _description_in(onnx.load(source))
    with TemporaryDirectory() as folder, _quiet_logs():
        folded = Path(folder) / "folded.onnx"
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)  # folds batch normalization
        nodes = onnx.load(folded).graph.node
        names = [node.name for node in nodes if node.op_type == "Conv"]
        if len(names) < 2:
            raise ValueError(
                f"Expected a network with convolutions for --int8 but this one has {len(names)}, of which the first "
                "stays in float32. Leave --int8 out."
            )
        quantize_static(
            str(folded),
            str(target),
            _Batches(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=names[:1],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    _save(onnx.load(target), target, description)
    return len(names) - 1


def add_quantization_record(source: Path, target: Path, record: Mapping[str, Any]) -> None:
    """Write a quantized file again, with the record of how that was done and what it costs in its metadata.

    Args:
        source: A file that :func:`quantize_onnx` wrote.
        target: File to write.
        record: A :class:`~cxr_lightning.checkpoints.quantization_model.QuantizationRecord` as plain values.
    """
    import onnx  # of an optional extra

    model = onnx.load(source)
    description: Any = parse_json(_description_in(model))
    description["record"]["quantization"] = dict(record)
    _save(model, target, json.dumps(description, allow_nan=False))


def _description_in(model: "ModelProto") -> str:
    return next(str(entry.value) for entry in model.metadata_props if entry.key == METADATA_KEY)


def _save(model: "ModelProto", path: Path, description: str) -> None:
    """Write a model with this description, and nothing else, as its metadata."""
    import onnx  # of an optional extra

    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=description)
    onnx.save(model, path)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Keep what the quantizer tells of its steps from the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
