"""Quantization of an ONNX file with hand-set weights."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cxr_lightning.checkpoints.quantization import add_quantization_record, quantize_onnx

SIZE = 4
DESCRIPTION = json.dumps({"labels": ["Mass"], "record": {"labels": ["Mass"]}})


def write_network(path: Path, convolutions: int) -> Path:
    """A file of 1x1 convolutions that double, then halve, then double the pixels, and so on."""
    nodes = [helper.make_node("Cast", ["images"], ["values_0"], to=TensorProto.FLOAT)]
    weights = []
    for number in range(convolutions):
        factor = np.array([0.5 if number % 2 else 2.0], np.float32).reshape(1, 1, 1, 1)
        weights.append(numpy_helper.from_array(factor, f"weight_{number}"))
        inputs = [f"values_{number}", f"weight_{number}"]
        nodes.append(helper.make_node("Conv", inputs, [f"values_{number + 1}"], name=f"conv_{number}"))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, SIZE, SIZE])],
        [helper.make_tensor_value_info(f"values_{convolutions}", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.metadata_props.add(key="cxr_lightning", value=DESCRIPTION)
    onnx.save(model, path)
    return path


@pytest.fixture
def images() -> np.ndarray:
    pixels: np.ndarray = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE), dtype=np.uint8)
    pixels[0, 0, :2] = 0, 255  # the whole range
    return pixels


def test_a_quantized_network_computes_the_same_where_its_steps_allow(tmp_path: Path, images: np.ndarray) -> None:
    source, target = write_network(tmp_path / "a.onnx", 3), tmp_path / "b.onnx"
    assert quantize_onnx(source, target, images) == 2  # the first one stays in float32
    (found,) = onnxruntime.InferenceSession(str(target)).run(None, {"images": images[:, None]})
    # The doubled pixels go from 0 to 510: 255 steps of 2, one for each pixel value. All layers have such steps.
    np.testing.assert_allclose(found[:, 0], 2.0 * images, atol=1e-3)
    (low,) = onnxruntime.InferenceSession(str(target)).run(None, {"images": np.full((1, 1, SIZE, SIZE), 7, np.uint8)})
    np.testing.assert_allclose(low, 14, atol=1e-3)


def test_ranges_come_from_the_given_images(tmp_path: Path, images: np.ndarray) -> None:
    quantize_onnx(write_network(tmp_path / "a.onnx", 3), tmp_path / "b.onnx", images // 2)
    (found,) = onnxruntime.InferenceSession(str(tmp_path / "b.onnx")).run(None, {"images": images[:, None]})
    np.testing.assert_allclose(found.max(), 2 * 127, atol=1e-3)  # brighter pixels are cut off


def test_the_metadata_stay_and_take_the_record(tmp_path: Path, images: np.ndarray) -> None:
    source, target = write_network(tmp_path / "a.onnx", 2), tmp_path / "b.onnx"
    quantize_onnx(source, target, images)
    (entry,) = onnx.load(target).metadata_props  # the quantizer's own entries are gone
    assert (entry.key, entry.value) == ("cxr_lightning", DESCRIPTION)
    add_quantization_record(target, tmp_path / "c.onnx", {"method": "x"})
    (entry,) = onnx.load(tmp_path / "c.onnx").metadata_props
    assert json.loads(entry.value)["record"] == {"labels": ["Mass"], "quantization": {"method": "x"}}


@pytest.mark.parametrize("convolutions", [0, 1])
def test_a_network_without_convolutions_is_refused(convolutions: int, tmp_path: Path, images: np.ndarray) -> None:
    source = write_network(tmp_path / "a.onnx", convolutions)
    with pytest.raises(ValueError, match=f"this one has {convolutions}.* Leave --int8 out"):
        quantize_onnx(source, tmp_path / "b.onnx", images)
    assert not (tmp_path / "b.onnx").exists()
