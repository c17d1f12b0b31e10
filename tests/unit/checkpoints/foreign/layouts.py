"""Structure of Keras weight files: described without the numbers, trimmed, written as JSON, and rebuilt at random.

Needs h5py, numpy and zipfile alone. `tests/tools/write_keras_files.py` writes the files with real Keras and describes
them with `manifest`; tests give the descriptions in `manifests/` to `rebuild`.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

JSON_ATTRIBUTES = ("model_config", "training_config")
"""Root attributes of a whole model's HDF5 file that hold JSON text."""
_WEIGHTS_MEMBER = "model.weights.h5"
_MAX_LINE_LENGTH = 320  # one layer of a model's configuration
_UNUSED_SUFFIXES = ("_initializer", "_regularizer", "_constraint")
_UNUSED_KEYS = frozenset(
    (
        "activity",
        "batch_input_shapes",
        "build_config",
        "center",
        "compile_config",
        "data_format",
        "date_saved",
        "dilation_rate",
        "dtype",
        "groups",
        "keepdims",
        "optional",
        "quantization_config",
        "ragged",
        "renorm",
        "renorm_clipping",
        "renorm_momentum",
        "scale",
        "sparse",
        "synchronized",
        "trainable",
    )
)


def manifest(path: Path) -> dict[str, Any]:
    """Describe everything in an HDF5 file or a `.keras` archive except the numbers.

    Args:
        path: A file that Keras wrote.

    Returns:
        For HDF5, `groups` (path -> attributes), `datasets` (path -> data type and shape) and `dataset_attributes` where
        there are any; an attribute is its `dtype` and its `value`. For an archive, `members` (name -> compression), the
        JSON members' text and the manifest of its weights.
    """
    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            return _describe(file)
    with zipfile.ZipFile(path) as archive:
        described: dict[str, Any] = {
            "format": "keras",
            "members": {info.filename: info.compress_type for info in archive.infolist()},
        }
        for info in archive.infolist():
            if info.filename.endswith(".json"):
                described[info.filename] = archive.read(info).decode()
            elif info.filename == _WEIGHTS_MEMBER:
                with h5py.File(io.BytesIO(archive.read(info)), "r") as file:
                    described[info.filename] = _describe(file)
    return described


def trim(described: dict[str, Any]) -> dict[str, Any]:
    """Parse a manifest's JSON texts and drop from them what changes neither the network nor its layout.

    Initializers, regularizers, constraints and Keras's defaults are dropped; class and layer names, shapes, epsilons,
    activations and the inbound layers are kept. Keras still builds the model from the result.

    Args:
        described: What `manifest` returned.

    Returns:
        A new manifest, with objects where there was JSON text.
    """
    trimmed = dict(described)
    if described["format"] == "keras":
        for name, value in described.items():
            if name.endswith(".json"):
                trimmed[name] = _trim_config(json.loads(value))
            elif name == _WEIGHTS_MEMBER:
                trimmed[name] = trim(value)
        return trimmed
    root = dict(described["groups"]["/"])
    for name in JSON_ATTRIBUTES:
        if name in root:
            root[name] = {"dtype": root[name]["dtype"], "json": _trim_config(json.loads(root[name]["value"]))}
    trimmed["groups"] = {**described["groups"], "/": root}
    return trimmed


def to_json(described: dict[str, Any]) -> str:
    """Write a manifest as JSON with one entry a line, so that it is both short and diffable.

    Args:
        described: What `trim` returned.

    Returns:
        The text, ending in a newline.
    """
    return _lines(described, 0, 0) + "\n"


def rebuild(described: dict[str, Any], out_path: Path, rng: np.random.Generator) -> Path:
    """Write a file of exactly the layout that a manifest describes, with random numbers.

    Variances are positive but for some exact zeros; kernels are small.

    Args:
        described: A manifest, trimmed or not.
        out_path: The file to write.
        rng: Source of the numbers. Numbers are drawn in the order of the manifest.

    Returns:
        `out_path`.
    """
    if described["format"] == "hdf5":
        with h5py.File(out_path, "w") as file:
            _build(described, file, rng)
        return out_path
    with zipfile.ZipFile(out_path, "w") as archive:
        for name, compression in described["members"].items():
            member: bytes | str
            if name == _WEIGHTS_MEMBER:
                buffer = io.BytesIO()
                with h5py.File(buffer, "w") as file:
                    _build(described[name], file, rng)
                member = buffer.getvalue()
            elif name in described:
                content = described[name]
                member = content if isinstance(content, str) else json.dumps(content)
            else:
                member = b""
            archive.writestr(name, member, compress_type=compression)
    return out_path


def _describe(file: h5py.File) -> dict[str, Any]:
    groups: dict[str, Any] = {"/": _attributes(file)}
    datasets: dict[str, Any] = {}
    dataset_attributes: dict[str, Any] = {}

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Group):
            groups[name] = _attributes(node)
            return
        datasets[name] = [str(node.dtype), list(node.shape)]
        if node.chunks or node.compression or node.external:  # not seen so far; recorded rather than lost
            datasets[name].append({"chunks": node.chunks, "compression": node.compression})
        if len(node.attrs):
            dataset_attributes[name] = _attributes(node)

    file.visititems(visit)
    described: dict[str, Any] = {"format": "hdf5", "groups": groups, "datasets": datasets}
    if dataset_attributes:
        described["dataset_attributes"] = dataset_attributes
    return described


def _attributes(node: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for name in sorted(node.attrs):
        value = node.attrs[name]
        dtype = node.attrs.get_id(name).dtype
        text = h5py.check_string_dtype(dtype)
        if text is None:
            kind = str(dtype)
        elif text.length is None:
            kind = f"text {text.encoding}"
        else:
            kind = f"S{text.length} {text.encoding}"
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        described[name] = {"dtype": kind, "value": _decode(value)}
    return described


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def _build(described: dict[str, Any], file: h5py.File, rng: np.random.Generator) -> None:
    for name, attributes in described["groups"].items():
        _write_attributes(file.require_group(name), attributes)
    for name, (dtype, shape, *_) in described["datasets"].items():
        file.create_dataset(name, data=_numbers(name, np.dtype(dtype), tuple(shape), rng))
    for name, attributes in described.get("dataset_attributes", {}).items():
        _write_attributes(file[name], attributes)


def _write_attributes(node: h5py.Group | h5py.Dataset, attributes: dict[str, Any]) -> None:
    for name, described in attributes.items():
        value = json.dumps(described["json"]) if "json" in described else described["value"]
        kind, _, encoding = described["dtype"].partition(" ")
        if not encoding:
            node.attrs.create(name, np.asarray(value, dtype=kind))
            continue
        dtype = h5py.string_dtype(encoding, None if kind == "text" else int(kind[1:]))
        if kind == "text":
            node.attrs.create(name, value, dtype=dtype)
        else:
            node.attrs.create(name, np.char.encode(np.asarray(value, dtype=str)).astype(dtype), dtype=dtype)


def _numbers(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[Any]:
    if not np.issubdtype(dtype, np.floating):  # an optimizer's count of steps
        return np.zeros(shape, dtype)
    if len(shape) > 1:
        return np.asarray(rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1])), dtype)
    if "variance" in name or name.endswith("vars/3"):
        variance = rng.uniform(0.5, 2, shape)
        return np.asarray(np.where(rng.random(shape) < 0.03, 0, variance), dtype)
    return np.asarray(rng.standard_normal(shape), dtype)


def _trim_config(node: Any) -> Any:
    if isinstance(node, list):
        return [_trim_config(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _trim_config(value)
        for key, value in node.items()
        if not key.endswith(_UNUSED_SUFFIXES) and (key not in _UNUSED_KEYS or _is_tensor(node))
    }


def _is_tensor(node: dict[str, Any]) -> bool:
    return "keras_history" in node


def _lines(node: Any, indent: int, used: int) -> str:
    """Indent JSON, but keep on one line whatever fits there."""
    flat = json.dumps(node, ensure_ascii=False)
    if not isinstance(node, dict | list) or indent + used + len(flat) <= _MAX_LINE_LENGTH:
        return flat
    pad = " " * (indent + 1)
    if isinstance(node, dict):
        keys = {key: json.dumps(key, ensure_ascii=False) + ": " for key in node}
        parts = [keys[key] + _lines(value, indent + 1, len(keys[key])) for key, value in node.items()]
        return "{\n" + ",\n".join(pad + part for part in parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _lines(value, indent + 1, 0) for value in node) + "\n" + " " * indent + "]"
