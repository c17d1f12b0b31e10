"""The map from the tensor names of version 0.1 to the current ones."""

from collections.abc import Mapping
from typing import TypeVar

from cxr_lightning.models.network import BACKBONE_PREFIX

_PREFIXES_OF_0_1 = {"preprocess.": "network.preprocess.", "network.": BACKBONE_PREFIX}
"""Prefixes of names in files of version 0.1, and the current ones."""

Value = TypeVar("Value")


def is_version_0_1(state: Mapping[str, object]) -> bool:
    """Whether a state has the names of version 0.1, in which the preprocessing was no part of the network."""
    return any(name.startswith("preprocess.") for name in state)


def current_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """The same tensors under their current names.

    Args:
        state: Tensors by their names in a checkpoint or safetensors file of this package, of any version.

    Example:
        >>> sorted(current_names({"preprocess.mean": 0, "network.features.norm5.bias": 1, "loss.positive_weights": 2}))
        ['loss.positive_weights', 'network.backbone.features.norm5.bias', 'network.preprocess.mean']
        >>> current_names({"network.preprocess.mean": 0})
        {'network.preprocess.mean': 0}
    """
    if not is_version_0_1(state):
        return dict(state)
    return {_current_name(name): value for name, value in state.items()}


def _current_name(name: str) -> str:
    for old, current in _PREFIXES_OF_0_1.items():
        if name.startswith(old):
            return current + name.removeprefix(old)
    return name
