"""Backbones of other packages: a function that returns the two parts of a network, or a whole ``Backbone``.

.. code-block:: python

    def tiny(num_labels: int, width: int = 8) -> tuple[nn.Module, nn.Module]:
        features = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU())  # (B, 3, S, S) -> (B, K, h, w)
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_labels))  # -> (B, C)
        return features, head
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cxr_lightning.models.backbones.base import Backbone, NetworkPart
from cxr_lightning.models.backbones.torchvision_networks import features_of_child
from cxr_lightning.models.evaluation_mode import evaluation_mode
from cxr_lightning.utils.plugins import import_trusted, is_within, trusted_packages

_FIRST_ARGUMENT = "num_labels"
"""Name of the first argument of every function of a backbone."""


class TwoPartNetwork(nn.Module):
    """A network of features and head.

    Args:
        features: A module from pixels ``(B, 3, S, S)`` to maps ``(B, K, h, w)``.
        head: A module from these maps to logits ``(B, C)``.
    """

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, ``(B, C)``."""
        logits: Tensor = self.head(self.features(pixels))
        return logits


@dataclass(frozen=True)
class _TwoPartBuilder:
    """Builds a network with somebody's function; an object rather than a closure, since it can be pickled."""

    name: str
    function: Callable[..., object]

    def __call__(self, num_labels: int, **variations: object) -> nn.Module:
        parts = self.function(num_labels, **variations)
        if not isinstance(parts, tuple) or len(parts) != 2 or not all(isinstance(part, nn.Module) for part in parts):
            found = [type(part).__name__ for part in parts] if isinstance(parts, tuple) else type(parts).__name__
            raise ValueError(
                f"Expected two modules, features and head, of '{self.name}' but it returns {found}. Return a tuple of "
                "two nn.Module."
            )
        return TwoPartNetwork(*parts)


def _head(network: TwoPartNetwork, maps: Tensor) -> Tensor:
    logits: Tensor = network.head(maps)
    return logits


def import_backbone(name: str, setting: str) -> Backbone:
    """Import a backbone of a trusted package.

    Args:
        name: Dotted name of a function or of a :class:`~cxr_lightning.models.backbones.base.Backbone`.
        setting: The setting or file that names it, for the error.

    Raises:
        ValueError: If the package is not trusted, or has no such backbone.
        ImportError: If the package cannot be imported.
    """
    found = import_trusted(name, setting)
    if isinstance(found, Backbone):
        return found
    # A package's own function that takes a number of labels: a checkpoint names it, and must not call any other.
    if (
        not inspect.isfunction(found)
        or not is_within(f"{found.__module__}.{found.__name__}", trusted_packages())
        or next(iter(inspect.signature(found).parameters), None) != _FIRST_ARGUMENT
    ):
        raise ValueError(
            f"Expected a backbone in {setting} but '{name}' is {type(found).__name__} of "
            f"{getattr(found, '__module__', 'no module')}. Name a function of that package whose first argument is "
            f"`{_FIRST_ARGUMENT}` and that returns features and head, or a Backbone."
        )
    return Backbone(_TwoPartBuilder(name, found), features_of_child, _head, "head", variations=_variations(found))


def _variations(function: Callable[..., object]) -> frozenset[str] | None:
    """Names of a function's arguments after the first; None if it takes any."""
    parameters = list(inspect.signature(function).parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters[1:])


def check_network(network: nn.Module, backbone: Backbone, name: str, num_labels: int, image_size: int) -> None:
    """Refuse a network that has not the parts of a backbone, by computing the logits of one black image.

    Args:
        network: What the backbone has built.
        backbone: The backbone.
        name: Its dotted name, for the error.
        num_labels: Number of outputs that it must have, C.
        image_size: Side of the image in pixels, S.

    Raises:
        ValueError: If a part fails, the maps are not ``(1, K, h, h)``, the logits are not ``(1, C)``, or the parts
            compute something else than the network.
    """
    pixels = torch.zeros(1, 3, image_size, image_size)
    with torch.no_grad(), evaluation_mode(network):
        maps = _compute(backbone.features, network, pixels, f"the features of '{name}'")
        if maps.ndim != 4 or len(maps) != 1 or maps.shape[2] != maps.shape[3]:
            raise ValueError(
                f"Expected maps (B, K, h, w) of the features of '{name}', square for a square image, but got "
                f"{tuple(maps.shape)} for {tuple(pixels.shape)}. Put the channels second, and pool in the head."
            )
        logits = _compute(backbone.head, network, maps, f"the head of '{name}'")
        if logits.shape != (1, num_labels):
            raise ValueError(
                f"Expected a logit for each of {num_labels} labels, (B, {num_labels}), of the head of '{name}' but "
                f"got {tuple(logits.shape)} for {tuple(maps.shape)}. Give its last layer `num_labels` outputs."
            )
        whole = _compute(lambda module, inputs: module(inputs), network, pixels, f"the network of '{name}'")
    same_shape = whole.shape == logits.shape
    if not same_shape or not (logits.is_meta or torch.allclose(logits, whole, rtol=1e-4, atol=1e-5, equal_nan=True)):
        raise ValueError(
            f"Expected the features and head of '{name}' to compute what its network computes but their logits differ. "
            "Correct how it is divided."
        )


def _compute(part: NetworkPart, network: nn.Module, inputs: Tensor, described: str) -> Tensor:
    try:
        outputs: object = part(network, inputs)
    except Exception as error:  # somebody else's code raises anything
        raise ValueError(
            f"Expected {described} to take {tuple(inputs.shape)} but got {type(error).__name__}: {error}. Correct the "
            "backbone or `data.image_size`."
        ) from error
    if not isinstance(outputs, Tensor):
        raise ValueError(f"Expected a tensor of {described} but got {type(outputs).__name__}. Return one tensor.")
    return outputs
