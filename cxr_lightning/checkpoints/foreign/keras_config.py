"""What a Keras model's configuration says that its weights do not, and what in it we cannot follow."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cxr_lightning.checkpoints.foreign.hdf5 import Contents
from cxr_lightning.checkpoints.foreign.keras_densenet import EPSILON

Config = Mapping[str, Any]

_PREPARES = ("Rescaling", "Normalization", "Resizing")
_OTHER_POOLING = ("GlobalMaxPooling2D", "Flatten")
_OUTPUTS = ("sigmoid", "linear")
_DEEPEST = 10
_LARGEST_EPSILON = 0.1


def parse_config(text: str) -> Config | None:
    """A configuration's JSON; None if it is none or cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def check_config(config: Config | None) -> None:
    """Refuse what a network of ours would not do.

    Raises:
        ValueError: If the model prepares images itself, pools by maximum, or ends in another activation than sigmoid;
            the message is a clause that begins with "it".
    """
    for layer in _layers(config):
        kind, settings = layer.get("class_name"), _settings(layer)
        if kind in _PREPARES:
            raise ValueError(f"it prepares images by a layer {kind}, which is not converted")
        if kind in _OTHER_POOLING:
            raise ValueError(f"it has a layer {kind}, where a DenseNet averages over the image")
        if kind == "Dense" and settings.get("activation", "linear") not in _OUTPUTS:
            raise ValueError(f"its last layer's activation is {settings['activation']}, not sigmoid")


def epsilon(config: Config | None) -> tuple[float, str]:
    """Of the batch normalisations, and why: as the configuration says, else Keras' own for a DenseNet.

    Raises:
        ValueError: If it says several, or none that is possible.
    """
    found = {
        float(value) if isinstance(value, int | float) and abs(value) < 1 else math.inf
        for layer in _layers(config)
        if layer.get("class_name") == "BatchNormalization" and (value := _settings(layer).get("epsilon")) is not None
    }
    if not found:
        return EPSILON, f"batch-norm epsilon {EPSILON:g}, Keras' for a DenseNet; the file does not say"
    if len(found) > 1 or not all(0 < value <= _LARGEST_EPSILON for value in found):
        raise ValueError(
            f"its batch normalisations have the epsilons {sorted(found)}, where one small number is needed"
        )
    value = found.pop()
    return value, f"batch-norm epsilon {value:g}, as the model's configuration says"


def final_relu(config: Config | None, contents: Contents) -> tuple[bool, str]:
    """Whether an activation follows the last batch normalisation, and why: by the configuration, else by layers."""
    layers = list(_layers(config))
    if any(_settings(layer).get("name") == "bn" for layer in layers):
        found = any(_is_relu(layer) for layer in layers if "bn" in _inbound(layer))
        return found, f"{'a' if found else 'no'} final ReLU, as the model's configuration says"
    names = _layer_names(contents)
    if "bn" in names:
        return "relu" in names, f"{'a' if 'relu' in names else 'no'} final ReLU, as the list of layers says"
    activations = sum(_is_numbered(name, "activation") for name in contents.attributes)
    normalizations = sum(_is_numbered(name, "batch_normalization") for name in contents.attributes)
    if activations and normalizations - activations in (0, 1):
        found = activations == normalizations
        return found, f"{'a' if found else 'no'} final ReLU, as the number of activations says"
    return True, "a final ReLU, as Keras has had since 2018; the file does not say (older ones have none)"


def _layers(node: object, depth: int = 0) -> Iterator[Config]:
    """Every layer's entry in a configuration, nested models included."""
    if depth > _DEEPEST or not isinstance(node, Mapping):
        return
    inner = node.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner  # Keras 2.0 kept a Sequential's as a list
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, Mapping):
            yield layer
            yield from _layers(layer, depth + 1)


def _settings(layer: Config) -> Config:
    found = layer.get("config")
    return found if isinstance(found, Mapping) else {}


def _is_relu(layer: Config) -> bool:
    kind = layer.get("class_name")
    return kind == "ReLU" or (kind == "Activation" and _settings(layer).get("activation") == "relu")


def _inbound(layer: Config) -> set[str]:
    """Names of the layers whose outputs a layer takes: the first entries of lists such as ``["bn", 0, 0]``."""
    return set(_origins(layer.get("inbound_nodes"), 0))


def _origins(node: object, depth: int) -> Iterator[str]:
    if depth > 2 * _DEEPEST:
        return
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _origins(value, depth + 1)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(isinstance(value, int) for value in node[1:3]):
            yield node[0]
        for value in node:
            yield from _origins(value, depth + 1)


def _layer_names(contents: Contents) -> list[str]:
    for root in ("", "model_weights"):
        attributes = contents.attributes.get(root, {})
        parts = [value for name, value in attributes.items() if re.fullmatch(r"layer_names\d*", name)]
        if parts:
            return [text for part in parts if isinstance(part, list) for text in part]
    return [str(attributes["name"]) for attributes in contents.attributes.values() if "name" in attributes]


def _is_numbered(path: str, kind: str) -> bool:
    return re.fullmatch(rf"(.*/)?{kind}(_\d+)?", path) is not None
