"""Configuration of a Keras model: what it states about the network beyond the weights, and what cannot be converted."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cxr_lightning.checkpoints.foreign.hdf5 import HDF5Contents
from cxr_lightning.checkpoints.foreign.keras_mapping import KERAS_BATCH_NORM_EPSILON
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.plain_text import one_line_reason

KerasConfig = Mapping[str, Any]

_PREPROCESSING_LAYERS = ("Rescaling", "Normalization", "Resizing")
_UNSUPPORTED_POOLING = ("GlobalMaxPooling2D", "Flatten")
_OUTPUT_ACTIVATIONS = ("sigmoid", "linear")
_MAX_DEPTH = 10
_MAX_EPSILON = 0.1


def parse_keras_config(text: str) -> KerasConfig | None:
    """Parse a configuration's JSON text; None if there is none, or it is no object.

    Raises:
        ValueError: If it cannot be parsed, so that nobody knows what the model does; the message is a clause that
            begins with "its".
    """
    if not text:
        return None
    try:
        parsed = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its configuration cannot be read ({one_line_reason(error)})") from error
    return parsed if isinstance(parsed, Mapping) else None


def check_keras_config(config: KerasConfig | None) -> None:
    """Refuse a model that does something that the converted network would not do.

    Raises:
        ValueError: If the model prepares images itself, pools by maximum, or ends in another activation than sigmoid;
            the message is a clause that begins with "it".
    """
    for layer in _layers(config):
        class_name, settings = layer.get("class_name"), _settings(layer)
        if class_name in _PREPROCESSING_LAYERS:
            raise ValueError(f"it prepares images by a layer {class_name}, which is not converted")
        if class_name in _UNSUPPORTED_POOLING:
            raise ValueError(f"it has a layer {class_name}, where a DenseNet averages over the image")
        if class_name == "Dense" and settings.get("activation", "linear") not in _OUTPUT_ACTIVATIONS:
            raise ValueError(f"its last layer's activation is {settings['activation']}, not sigmoid")


def infer_batch_norm_epsilon(config: KerasConfig | None) -> tuple[float, str]:
    """Epsilon of the batch normalizations, from the configuration or else Keras' default for a DenseNet.

    Returns:
        The epsilon, and a phrase that states where it is from.

    Raises:
        ValueError: If the configuration has several, or an impossible one; the message is a clause that begins with
            "its".
    """
    found = {
        float(value) if isinstance(value, int | float) and abs(value) < 1 else math.inf
        for layer in _layers(config)
        if layer.get("class_name") == "BatchNormalization" and (value := _settings(layer).get("epsilon")) is not None
    }
    if not found:
        epsilon = KERAS_BATCH_NORM_EPSILON
        return epsilon, f"batch-norm epsilon {epsilon:g}, Keras' for a DenseNet; the file does not say"
    if len(found) > 1 or not all(0 < value <= _MAX_EPSILON for value in found):
        raise ValueError(
            f"its batch normalizations have the epsilons {sorted(found)}, where one small number is needed"
        )
    epsilon = found.pop()
    return epsilon, f"batch-norm epsilon {epsilon:g}, as the model's configuration says"


def infer_final_relu(config: KerasConfig | None, contents: HDF5Contents) -> tuple[bool, str]:
    """Whether an activation follows the last batch normalization, from the configuration or else from the layers.

    Returns:
        Whether it does, and a phrase that states why.
    """
    layers = list(_layers(config))
    if any(_settings(layer).get("name") == "bn" for layer in layers):
        found = any(_is_relu(layer) for layer in layers if "bn" in _input_layers(layer))
        return found, f"{'a' if found else 'no'} final ReLU, as the model's configuration says"
    names = _layer_names(contents)
    if "bn" in names:
        return "relu" in names, f"{'a' if 'relu' in names else 'no'} final ReLU, as the list of layers says"
    activations = sum(_is_numbered(path, "activation") for path in contents.attributes)
    normalizations = sum(_is_numbered(path, "batch_normalization") for path in contents.attributes)
    if activations and normalizations - activations in (0, 1):
        found = activations == normalizations
        return found, f"{'a' if found else 'no'} final ReLU, as the number of activations says"
    return True, "a final ReLU, as Keras has had since 2018; the file does not say (older ones have none)"


def _layers(node: object, depth: int = 0) -> Iterator[KerasConfig]:
    """Every layer's entry in a configuration, nested models included."""
    if depth > _MAX_DEPTH or not isinstance(node, Mapping):
        return
    inner = node.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner  # Keras 2.0 kept a Sequential's as a list
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, Mapping):
            yield layer
            yield from _layers(layer, depth + 1)


def _settings(layer: KerasConfig) -> KerasConfig:
    settings = layer.get("config")
    return settings if isinstance(settings, Mapping) else {}


def _is_relu(layer: KerasConfig) -> bool:
    class_name = layer.get("class_name")
    return class_name == "ReLU" or (class_name == "Activation" and _settings(layer).get("activation") == "relu")


def _input_layers(layer: KerasConfig) -> set[str]:
    """Names of the layers whose outputs a layer takes: the first entries of lists such as ``["bn", 0, 0]``."""
    return set(_find_input_names(layer.get("inbound_nodes"), 0))


def _find_input_names(node: object, depth: int) -> Iterator[str]:
    if depth > 2 * _MAX_DEPTH:
        return
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _find_input_names(value, depth + 1)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(isinstance(value, int) for value in node[1:3]):
            yield node[0]
        for value in node:
            yield from _find_input_names(value, depth + 1)


def _layer_names(contents: HDF5Contents) -> list[str]:
    """Names of the model's layers, those without weights included, as the file lists them."""
    for root in ("", "model_weights"):
        attributes = contents.attributes.get(root, {})
        parts = [value for name, value in attributes.items() if re.fullmatch(r"layer_names\d*", name)]
        if parts:
            return [text for part in parts if isinstance(part, list) for text in part]
    return [str(attributes["name"]) for attributes in contents.attributes.values() if "name" in attributes]


def _is_numbered(path: str, class_name: str) -> bool:
    """Whether the last part of a path is a class of layers, with or without a number."""
    return re.fullmatch(rf"(.*/)?{class_name}(_\d+)?", path) is not None
