"""Layouts of weights in Keras' HDF5 files: which dataset is which tensor of which layer.

- Keras 2 ``save_weights``: groups named after layers, in the order of the attribute ``layer_names``; each has the
  attribute ``weight_names``, paths below it (``bn/bn/gamma:0``). A name may have a prefix other than its layer's, and a
  layer may be a whole model, whose inner layers' names are then in the weights' names.
- Keras 2 ``save``, Keras 3 ``save("x.h5")``: the same below ``model_weights`` (without ``:0`` in Keras 3).
- ``.weights.h5``, and the file of that name in a ``.keras`` archive: ``layers/batch_normalization_7/vars/0``, numbered
  in the order of the layers, not always without gaps; later Keras 3 gives the group ``vars`` the layer's name as an
  attribute. Keras 2.12 and 2.13 have ``_layer_checkpoint_dependencies`` in place of ``layers``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr_lightning.checkpoints.foreign.hdf5 import HDF5Contents

_TENSORS_BY_KIND = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
}
"""Tensors in order, by the name that ``.weights.h5`` files give to the class of the layer."""

_DENSENET_LAYER = re.compile(
    r"(conv1[/_](?:conv|bn)|conv[2-5]_block\d+_(?:0_bn|1_conv|1_bn|2_conv)|pool[234]_(?:bn|conv)|bn)(?:_\d+)?"
)
_NUMBERED_TENSOR = re.compile(r"(?:layers|_layer_checkpoint_dependencies)/([a-z0-9_]+?)(?:_(\d+))?/vars/(\d+)")
_IGNORED_PREFIXES = ("metrics/", "optimizer/", "_layer_checkpoint_dependencies/optimizer/", "loss_tracker/")


@dataclass(frozen=True)
class KerasLayer:
    """A layer with weights in a Keras file.

    Attributes:
        name: Name in keras.applications' DenseNet (``conv1_bn``), or the name in the file if it is no layer of a
            DenseNet; empty if the file has no names.
        kind: ``batch_normalization``, ``conv2d`` or ``dense``.
        tensors: Paths of its datasets, by the name of the tensor: ``kernel``, ``bias``, ``gamma``, ...
    """

    name: str
    kind: str
    tensors: Mapping[str, str]


def read_keras_layers(contents: HDF5Contents) -> list[KerasLayer]:
    """List the layers of a Keras file, in the order of the file.

    Raises:
        ValueError: If the file has none of the layouts; the message is a clause that begins with "it".
    """
    for root in ("", "model_weights"):
        if "layer_names" in _name_lists(contents.attributes.get(root, {})):
            return _read_named_layers(contents, f"{root}/" if root else "")
    layers = _read_numbered_layers(contents)
    if not layers:
        raise ValueError(f"it has none of Keras' layouts; it begins with {list(contents.shapes)[:5]}")
    return layers


def _name_lists(attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Lists of names; one too long for an attribute is kept in parts, ``layer_names0``, ``layer_names1``, ..."""
    lists: dict[str, list[str]] = {}
    for name in ("layer_names", "weight_names"):
        parts = [key for key in attributes if re.fullmatch(name + r"\d*", key) and isinstance(attributes[key], list)]
        if parts:
            ordered = sorted(parts, key=lambda key: int(key[len(name) :] or 0))
            lists[name] = [text for key in ordered for text in attributes[key]]
    return lists


def _read_named_layers(contents: HDF5Contents, prefix: str) -> list[KerasLayer]:
    """Layers by the lists of names in the attributes; every dataset must be named once."""
    layers: dict[str, dict[str, str]] = {}
    for layer in _name_lists(contents.attributes[prefix.rstrip("/")])["layer_names"]:
        names = _name_lists(contents.attributes.get(prefix + layer, {})).get("weight_names", [])
        for name in names:
            path = f"{prefix}{layer}/{name}"
            if path not in contents.shapes:
                raise ValueError(f"it names the weight '{path}' and has no such dataset")
            inner, _, tensor = name.rpartition("/")
            owner = _densenet_name(layer) or _densenet_name(inner) or layer
            tensors = layers.setdefault(owner, {})
            tensor = tensor.partition(":")[0]
            if tensor in tensors:
                raise ValueError(f"it has the weight '{tensor}' of layer '{owner}' twice")
            tensors[tensor] = path
    used = {path for tensors in layers.values() for path in tensors.values()}
    if unnamed := sorted(set(contents.shapes) - used):
        raise ValueError(f"it holds {len(unnamed)} datasets that its lists do not name, {unnamed[:5]}")
    return [KerasLayer(name, _kind(tensors, contents), tensors) for name, tensors in layers.items()]


def _densenet_name(text: str) -> str | None:
    """Name of a DenseNet's layer in its one spelling with underscores; None if it is no layer of a DenseNet."""
    match = _DENSENET_LAYER.fullmatch(text) or re.fullmatch(rf".*/{_DENSENET_LAYER.pattern}", text)
    return match[1].replace("/", "_") if match else None


def _kind(tensors: Mapping[str, str], contents: HDF5Contents) -> str:
    if "gamma" in tensors or "moving_mean" in tensors:
        return "batch_normalization"
    return "dense" if len(contents.shapes.get(tensors.get("kernel", ""), ())) == 2 else "conv2d"


def _read_numbered_layers(contents: HDF5Contents) -> list[KerasLayer]:
    """Layers by class and number, each class in the order of its numbers."""
    found: dict[tuple[str, str, int], dict[int, str]] = {}
    for path in contents.shapes:
        match = _NUMBERED_TENSOR.search(path)
        if match is None or not path.endswith(match[0]):
            if path.startswith(_IGNORED_PREFIXES) or "seed_generator" in path:
                continue
            raise ValueError(f"it holds '{path}', which is no layer's weight")
        kind, number, index = match[1], int(match[2] or 0), int(match[3])
        folder = path.rpartition("/vars/")[0]
        if kind not in _TENSORS_BY_KIND:
            raise ValueError(f"it holds weights of a layer of another kind, '{folder}'")
        found.setdefault((kind, folder, number), {})[index] = path
    layers = []
    for (kind, folder, _), paths in sorted(found.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        if sorted(paths) != list(range(len(paths))) or len(paths) > len(_TENSORS_BY_KIND[kind]):
            raise ValueError(f"it holds {sorted(paths)} as the weights of '{folder}'")
        name = str(contents.attributes.get(f"{folder}/vars", {}).get("name", ""))
        tensors = {_TENSORS_BY_KIND[kind][index]: paths[index] for index in range(len(paths))}
        layers.append(KerasLayer(_densenet_name(name) or name, kind, tensors))
    return layers
