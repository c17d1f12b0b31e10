"""Keras files of a DenseNet: HDF5 in any layout, or a ``.keras`` archive."""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxr_lightning.conversion.hdf5 import Contents, list_contents, read_arrays
from cxr_lightning.conversion.keras_densenet import EPSILON, plan, turned
from cxr_lightning.conversion.keras_layouts import read_layers
from cxr_lightning.conversion.source import Source, check_finite

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_MOST_BYTES = 1 << 30
_MOST_CONFIG = 20_000_000
_MOST_EXPANSION = 20


def read_hdf5(path: Path, config: Mapping[str, Any] | None = None, *, origin: Path | None = None) -> Source:
    """The network in a Keras HDF5 file.

    Args:
        path: The file.
        config: The model's configuration, if it is elsewhere.
        origin: What messages call the file, if it is a part of another.

    Raises:
        ValueError: If it is damaged, hostile, or not exactly a DenseNet with at most one dense layer.
    """
    named = origin or path
    contents = list_contents(path, origin=named)
    try:
        layers = read_layers(contents)
        found = plan(layers, contents.shapes)
    except ValueError as error:
        raise ValueError(
            f"Expected the weights of a Keras DenseNet in '{named}' but {error}. "
            "Give a file of DenseNet-121, -169 or -201."
        ) from error
    own = config if config is not None else _model_config(contents)
    epsilon, epsilon_words = _epsilon(own)
    final_relu, relu_words = _final_relu(own, contents)
    names, paths = list(found.sources), list(found.sources.values())
    arrays = read_arrays(path, paths, origin=named)
    state = {
        name: torch.from_numpy(turned(name, array.astype(np.float32, copy=False)))
        for name, array in zip(names, arrays, strict=True)
    }
    check_finite(state, named)
    version = contents.attributes[""].get("keras_version") or contents.attributes.get("model_weights", {}).get(
        "keras_version", "of unknown version"
    )
    return Source(
        state=state,
        blocks=found.blocks,
        outputs=found.outputs,
        batch_norm_epsilon=epsilon,
        final_relu=final_relu,
        labels=None,
        format=f"Keras {version}, {len(layers)} layers with weights",
        decisions=(epsilon_words, relu_words),
        keras=True,
    )


def read_archive(path: Path) -> Source:
    """The network in a ``.keras`` archive; errors as in :func:`read_hdf5`."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            weights, config = _members(archive, path)
            unpacked = Path(folder) / _WEIGHTS
            _unpack(archive, weights, unpacked, path)
            settings = json.loads(archive.read(config)) if config is not None else None
            return read_hdf5(unpacked, settings, origin=path)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(_broken(path, f"it is damaged ({' '.join(str(error).split())[:200]})")) from error


def _members(archive: zipfile.ZipFile, path: Path) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo | None]:
    """The member with weights, and the one with the configuration if there is one."""
    members = archive.infolist()
    outside = [member.filename for member in members if _leads_out(member.filename)]
    if outside:
        raise ValueError(_broken(path, f"it has a member outside of itself, {outside[0]!r}"))
    by_name = {member.filename: member for member in members}
    if len(by_name) != len(members) or _WEIGHTS not in by_name:
        raise ValueError(_broken(path, f"its members are {list(by_name)[:5]}, where one {_WEIGHTS} is needed"))
    config = by_name.get(_CONFIG)
    for member, most in ((by_name[_WEIGHTS], _MOST_BYTES), (config, _MOST_CONFIG)):
        if member is not None and member.file_size > min(most, _MOST_EXPANSION * member.compress_size + 65_536):
            raise ValueError(
                _broken(
                    path,
                    f"'{member.filename}' claims {member.file_size:,} bytes unpacked from {member.compress_size:,}",
                )
            )
    return by_name[_WEIGHTS], config


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name[:3]


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """Copy a member's bytes, no more than it claimed."""
    left = member.file_size
    with archive.open(member) as source, target.open("wb") as file:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise ValueError(_broken(path, f"'{member.filename}' unpacks to more than it claims"))
            file.write(chunk)


def _broken(path: Path, reason: str) -> str:
    return f"Expected a .keras archive in '{path}' but {reason}. Download or save it again."


def _model_config(contents: Contents) -> Mapping[str, Any] | None:
    """The configuration that whole models carry; None if there is none or it cannot be read."""
    try:
        found = json.loads(contents.attributes[""].get("model_config", "null"))
    except (json.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _layer_configs(node: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every layer's entry in a configuration, nested models included."""
    if depth > 10 or not isinstance(node, Mapping):
        return
    layers = node["config"].get("layers") if isinstance(node.get("config"), Mapping) else None
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, Mapping):
            yield layer
            yield from _layer_configs(layer, depth + 1)


def _epsilon(config: Mapping[str, Any] | None) -> tuple[float, str]:
    """Of the batch normalisations: as the configuration says, else Keras' own for a DenseNet."""
    found = {
        float(layer["config"]["epsilon"])
        for layer in _layer_configs(config)
        if layer.get("class_name") == "BatchNormalization" and isinstance(layer.get("config"), Mapping)
        and isinstance(layer["config"].get("epsilon"), int | float)
    }  # fmt: skip
    if len(found) == 1:
        epsilon = found.pop()
        return epsilon, f"batch-norm epsilon {epsilon:g}, as the model's configuration says"
    return EPSILON, f"batch-norm epsilon {EPSILON:g}, Keras' for a DenseNet; the file does not say"


def _final_relu(config: Mapping[str, Any] | None, contents: Contents) -> tuple[bool, str]:
    """Whether an activation follows the last batch normalisation: by the configuration, else by the layers' names."""
    names = [str(layer.get("config", {}).get("name", "")) for layer in _layer_configs(config)]
    where = "as the model's configuration says"
    if "bn" not in names:
        names, where = _all_layer_names(contents), "as the list of layers says"
    if "bn" in names:
        return "relu" in names, f"{'a' if 'relu' in names else 'no'} final ReLU, {where}"
    activations = [name for name in contents.attributes if _is_numbered(name, "activation")]
    normalizations = [name for name in contents.attributes if _is_numbered(name, "batch_normalization")]
    if activations and len(normalizations) - len(activations) in (0, 1):
        found = len(activations) == len(normalizations)
        return found, f"{'a' if found else 'no'} final ReLU, as the number of activations says"
    return True, "a final ReLU, as Keras has had since 2018; the file does not say (--no-final-relu for older ones)"


def _all_layer_names(contents: Contents) -> list[str]:
    for root in ("", "model_weights"):
        attributes = contents.attributes.get(root, {})
        parts = [
            value for name, value in attributes.items() if name.startswith("layer_names") and isinstance(value, list)
        ]
        if parts:
            return [text for part in parts for text in part]
    return [str(attributes["name"]) for attributes in contents.attributes.values() if "name" in attributes]


def _is_numbered(path: str, kind: str) -> bool:
    name = path.rpartition("/")[2]
    return name == kind or (name.rpartition("_")[0] == kind and name.rpartition("_")[2].isdigit())
