"""An ONNX file is a program of somebody else's: only networks whose memory and time depend on the number of images."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cxr_lightning.checkpoints import onnx_check, onnx_check_results
from cxr_lightning.checkpoints.onnx_check import handle_onnx_check, max_batch
from cxr_lightning.checkpoints.onnx_check_results import refusal_of
from cxr_lightning.checkpoints.onnx_graph import graph_problem
from cxr_lightning.inference.onnx_backend import OnnxBackend
from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits

FILE = Path(__file__).parents[2] / "data" / "version_0_1" / "model.onnx"
LABELS = 4
Change = Callable[[ModelProto], object]


def changed(change: Change) -> bytes:
    model = onnx.load(FILE)
    change(model)
    content: bytes = model.SerializeToString()
    return content


def constant(model: ModelProto, name: str, values: object) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    return name


def reason_of(content: bytes) -> str:
    refusal = refusal_of(content)
    return "" if refusal is None else refusal.reason


def before_probabilities(*nodes: Callable[[str, str], onnx.NodeProto]) -> Change:
    """Puts nodes, from the name of an input and of an output, between the probabilities and the file's output."""

    def change(model: ModelProto) -> None:
        current = "inner_0"
        for node in model.graph.node:
            node.output[:] = [current if name == "probabilities" else name for name in node.output]
        for number, make in enumerate(nodes, start=1):
            following = "probabilities" if number == len(nodes) else f"inner_{number}"
            model.graph.node.append(make(current, following))
            current = following

    return change


def add(*arguments: str) -> Change:
    """Adds a node that nothing uses."""
    return lambda model: model.graph.node.append(helper.make_node(arguments[0], list(arguments[1:]), ["unused"]))


def loop(model: ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["condition"], ["again"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, []),
        ],
    )
    inputs = [
        constant(model, "trips", 2**62),
        constant(model, "go", np.array(True)),
        constant(model, "x0", np.zeros((), np.float32)),
    ]
    model.graph.node.append(helper.make_node("Loop", inputs, ["unused"], body=body))


def size_of_pixels(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.INT64))
    model.graph.node.append(helper.make_node("ReduceSum", ["numbers"], ["total"], keepdims=0))
    add("ConstantOfShape", "total")(model)


def other_file(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def hidden_graph(model: ModelProto) -> None:
    graph = helper.make_graph([], "g", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", graph))


def function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("own", "f", ["x"], ["y"], [], [helper.make_opsetid("", 20)]))


def sparse_constant(model: ModelProto) -> None:
    values, indices = numpy_helper.from_array(np.ones(1)), numpy_helper.from_array(np.zeros(1, np.int64))
    sparse = helper.make_sparse_tensor(values, indices, [1 << 40])
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], sparse_value=sparse))


def list_of_sparse_tensors(model: ModelProto) -> None:
    attribute = onnx.AttributeProto(name="x", type=onnx.AttributeProto.SPARSE_TENSORS)
    attribute.sparse_tensors.add()
    model.graph.node[0].attribute.append(attribute)


def dropout(model: ModelProto) -> None:
    add("Dropout", "images", "", constant(model, "training", np.array(True)))(model)


def batch_normalization(*outputs: str, **attributes: Any) -> Change:
    inputs = ["images", "a", "b", "c", "d"]
    return lambda model: model.graph.node.append(helper.make_node("BatchNormalization", inputs, outputs, **attributes))


def split_of_pixels(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.INT64))
    model.graph.node.append(helper.make_node("ReduceMax", ["numbers"], ["sizes"], keepdims=0))
    model.graph.node.append(helper.make_node("Split", ["images", "sizes"], ["part", "rest"]))
    model.graph.node.append(helper.make_node("Shape", ["part"], ["shape_of_part"]))
    add("ConstantOfShape", "shape_of_part")(model)


def axes_of_pixels(operator: str) -> Change:
    def change(model: ModelProto) -> None:
        model.graph.node.append(helper.make_node("Cast", ["images"], ["axes"], to=TensorProto.INT64))
        add(operator, "images", "axes")(model)

    return change


def division(operator: str, kind: int) -> Change:
    def change(model: ModelProto) -> None:
        model.graph.node.append(helper.make_node("Cast", ["images"], ["numbers"], to=kind))
        add(operator, constant(model, "one", np.ones(1, helper.tensor_dtype_to_np_dtype(kind))), "numbers")(model)

    return change


def declared_twice(model: ModelProto) -> None:
    """An output of whole numbers that is declared a second time, of floats: readers take one or the other."""
    division("Div", TensorProto.INT32)(model)
    for kind in (TensorProto.INT32, TensorProto.FLOAT):
        model.graph.output.append(helper.make_tensor_value_info("unused", kind, None))


def computed_twice(model: ModelProto) -> None:
    add("Identity", "images")(model)
    add("Abs", "images")(model)


REFUSED_GRAPHS: dict[str, tuple[Change, str]] = {
    "loop": (loop, "uses the operator 'Loop', which is not allowed"),
    "graph of its own": (hidden_graph, "has a graph of its own"),
    "function": (function, "has functions"),
    "random": (add("RandomNormalLike", "images"), "uses the operator 'RandomNormalLike'"),
    "sequence": (add("SequenceConstruct", "images"), "uses the operator 'SequenceConstruct'"),
    "own domain": (
        lambda model: model.graph.node.append(helper.make_node("Relu", ["images"], ["unused"], domain="evil")),
        "uses the operator 'evil.Relu'",
    ),
    "size of pixels": (size_of_pixels, "the size of its operator ConstantOfShape depends on pixels"),
    "dropout in training": (dropout, "its operator Dropout is in training mode"),
    "batch normalization in training": (
        batch_normalization("unused", training_mode=1),
        "its operator BatchNormalization is in training mode",
    ),
    "statistics of the batch": (
        batch_normalization("unused", "mean", "variance"),
        "its operator BatchNormalization is in training mode",
    ),
    "sparse constant": (sparse_constant, "its operator Constant has an attribute of the kind 'sparse_tensor'"),
    "sparse tensors": (list_of_sparse_tensors, "has an attribute of the kind 'sparse_tensors'"),
    "parts of pixels": (split_of_pixels, "the size of its operator Split depends on pixels"),
    "axes of pixels": (axes_of_pixels("Unsqueeze"), "the size of its operator Unsqueeze depends on pixels"),
    "sum over pixels": (axes_of_pixels("ReduceSum"), "the size of its operator ReduceSum depends on pixels"),
    "division": (division("Div", TensorProto.INT64), "its operator Div divides whole numbers that depend on pixels"),
    "remainder": (division("Mod", TensorProto.UINT8), "its operator Mod divides whole numbers that depend on pixels"),
    "declared twice": (declared_twice, "names the value 'unused' 2 times"),
    "computed twice": (computed_twice, "names the value 'unused' 2 times"),
    "other file": (other_file, "is in another file"),
    "long description": (lambda model: model.metadata_props.add(key="x", value="x" * 10_000_001), "its metadata has"),
}


@pytest.mark.parametrize("name", REFUSED_GRAPHS)
def test_a_graph_that_is_no_network_is_refused_before_it_is_run(name: str) -> None:
    change, message = REFUSED_GRAPHS[name]
    model = onnx.load(FILE)
    assert graph_problem(model) == ""
    change(model)
    assert message in graph_problem(model)


def keep(model: ModelProto, name: str, dimensions: int) -> None:
    """Makes a result an output of the file, so that it is computed."""
    shape = [f"{name}_{number}" for number in range(dimensions)]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def huge(model: ModelProto) -> None:
    add("ConstantOfShape", constant(model, "shape", [1 << 14, 1 << 14, 64]))(model)
    model.graph.node.append(helper.make_node("ReduceSum", ["unused"], ["kept"]))
    keep(model, "kept", 3)


def power_of_the_batch(model: ModelProto) -> None:
    """B images become B^9 numbers."""
    model.graph.node.append(helper.make_node("Shape", ["images"], ["batch"], start=0, end=1))
    model.graph.node.append(helper.make_node("Concat", ["batch"] * 9, ["shape"], axis=0))
    model.graph.node.append(
        helper.make_node("Expand", [constant(model, "one", np.ones(1, np.float32)), "shape"], ["cube"])
    )
    model.graph.node.append(helper.make_node("Neg", ["cube"], ["kept"]))
    keep(model, "kept", 9)


def endless(model: ModelProto) -> None:
    """A product of large matrices after another."""
    shape = constant(model, "shape", [5000, 5000])
    model.graph.node.append(helper.make_node("ConstantOfShape", [shape], ["matrix"]))
    name = "matrix"
    for number in range(200):
        model.graph.node.append(helper.make_node("MatMul", [name, "matrix"], [f"product_{number}"]))
        name = f"product_{number}"
    keep(model, name, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (huge, "it takes more than 1,024 MiB of memory"),
        (power_of_the_batch, "it takes more than 1,024 MiB of memory"),
        (endless, "it takes more than 3 s"),
    ],
    ids=["constant", "power of the batch", "endless"],
)
def test_what_takes_too_much_ends_the_process_that_checks_it(change: Change, message: str) -> None:
    check = LimitedFunction(handle_onnx_check.__module__, handle_onnx_check.__name__, Limits(memory=1 << 30, seconds=3))
    started = time.monotonic()
    try:
        answer = json.loads(check(changed(change)))["refused"]
    except LimitedCallError as error:
        answer = str(error)
    finally:
        check.close()
    assert answer == message
    assert time.monotonic() - started < 20


def twice(model: ModelProto) -> None:
    two = constant(model, "two", np.float32(2))
    before_probabilities(lambda before, after: helper.make_node("Mul", [before, two], [after]))(model)


def ranked(model: ModelProto) -> None:
    before_probabilities(lambda before, after: helper.make_node("Softmax", [before], [after], axis=0))(model)


def other_product(model: ModelProto) -> None:
    """A product of matrices whose sizes do not fit, which is seen when it is computed."""
    model.graph.node.append(helper.make_node("Flatten", ["images"], ["row"]))
    matrix = constant(model, "matrix", np.ones((7, 7), np.float32))
    model.graph.node.append(helper.make_node("Cast", ["row"], ["numbers"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("MatMul", ["numbers", matrix], ["kept"]))
    keep(model, "kept", 2)


def fewer(model: ModelProto) -> None:
    names = [constant(model, "start", [0]), constant(model, "end", [LABELS - 1]), constant(model, "axis", [1])]
    before_probabilities(lambda before, after: helper.make_node("Slice", [before, *names], [after]))(model)


def more_inputs(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, "which is no probability"),
        (ranked, "depend on the other images"),
        (fewer, "its outputs are [('probabilities', 'tensor(float)', ['batch', 3])"),
        (more_inputs, "its inputs are [('images', 'tensor(uint8)'), ('more', 'tensor(float)')]"),
        (lambda model: model.graph.input.add(name="more"), "it is damaged (ValidationError: Field 'type'"),
        (lambda model: model.ClearField("metadata_props"), "it has no description"),
        (lambda model: model.graph.ClearField("node"), "it is damaged (ValidationError: Graph output"),
    ],
    ids=["no probability", "other images", "labels", "inputs", "input without a type", "no description", "no nodes"],
)
def test_a_network_that_computes_something_else_is_refused(change: Change, message: str) -> None:
    answer = json.loads(handle_onnx_check(changed(change)))["refused"]
    assert message in answer


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is damaged (ValidationError: "),
        (b"\x00" * 100, "it is damaged, or no ONNX file. "),
        (b"<html>", "it is damaged, or no ONNX file. "),
        (FILE.read_bytes()[:5000], "it is damaged, or no ONNX file. "),
    ],
)
def test_another_file_is_refused_in_one_line(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected a model that `cxr export` wrote in '") as error:
        OnnxBackend(path)
    assert f"x.onnx' but {reason}" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_onnxruntime_reports_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path))
    bad = changed(other_product)
    assert reason_of(bad).startswith("it cannot be run (")
    assert not list(tmp_path.rglob("*.json"))


def test_without_a_home_no_check_result_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CXR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert "no probability" in reason_of(changed(twice))


def test_no_check_result_is_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "own"))
    bad = changed(twice)
    assert "no probability" in reason_of(bad)
    (kept,) = (tmp_path / "own" / "onnx").iterdir()
    planted = tmp_path / "cache" / "onnx" / kept.name
    planted.parent.mkdir(parents=True)
    planted.write_text('{"refused": "", "permanent": true}')
    monkeypatch.setenv("CXR_CACHE_DIR", "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert "no probability" in reason_of(bad)


def test_a_file_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path))
    good, bad = FILE.read_bytes(), changed(twice)
    assert refusal_of(good) is None
    refusal = refusal_of(bad)
    assert refusal is not None
    assert "no probability" in refusal.reason
    monkeypatch.setattr(onnx_check_results, "LimitedFunction", None)
    assert refusal_of(good) is None
    assert refusal_of(bad) == refusal


@pytest.mark.parametrize("content", [b"", b"{}", b'{"refused": 0}', b"[" * 5000])
def test_a_check_result_that_is_damaged_is_made_again(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path))
    bad = changed(twice)
    refusal = refusal_of(bad)
    (kept,) = (tmp_path / "onnx").iterdir()
    kept.write_bytes(content)
    assert refusal_of(bad) == refusal


def test_no_check_result_of_the_current_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    bad = changed(twice)
    refusal_of(bad)
    (kept,) = (tmp_path / "mine" / "cxr_lightning" / "onnx").iterdir()
    kept.rename(tmp_path / "kept")
    for folder in ("onnx", "cache/onnx", "cxr_lightning/onnx"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / kept.name).write_text('{"refused": "", "permanent": true}')
    assert "no probability" in reason_of(bad)


def test_many_images_are_computed_in_parts_that_were_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxBackend(FILE)
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    expected = backend.probabilities(images)
    monkeypatch.setattr("cxr_lightning.inference.onnx_backend.max_batch", lambda size: 2)
    for left, right in zip(expected, backend.probabilities(images), strict=True):
        assert left is not None
        assert right is not None
        np.testing.assert_allclose(left, right, atol=1e-6)
    assert [len(part) for part in backend._parts(images)] == [2, 2, 1]
    assert max_batch(64) == 16


def test_the_check_imports_no_torch() -> None:
    code = (
        "import sys; import cxr_lightning.checkpoints.onnx_check, cxr_lightning.inference.onnx_backend; "
        "print([name for name in ('torch', 'pandas', 'pytorch_lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_division_of_floats_is_no_danger() -> None:
    model = onnx.load(FILE)
    division("Div", TensorProto.FLOAT)(model)
    assert graph_problem(model) == ""


@pytest.mark.parametrize(("size", "sizes"), [(64, [1, 1, 1, 16]), (512, [1, 1, 1]), (1024, [1])])
def test_a_large_image_is_run_once(size: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[int] = []

    def note(session: object, images: NDArray[np.uint8], labels: int) -> list[NDArray[np.float64]]:
        run.append(len(images))
        return [np.zeros((len(images), labels))]

    monkeypatch.setattr(onnx_check, "_run", note)
    onnx_check._check_probabilities(None, LABELS, size)
    assert run == sizes
