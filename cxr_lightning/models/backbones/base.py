"""What a backbone is: how its network is built, and the two parts of that network, features and head."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cxr_lightning.models.setting_rules import TargetLayer

NetworkPart = Callable[[Any, Tensor], Tensor]
"""Function of a network and the input of one of its parts."""


@dataclass(frozen=True)
class Backbone:
    """How a network is built, and divided into features and head; everything else knows networks through this.

    The parts are functions of the network, so that a copy of a network is divided in the same way. One after the other
    they compute what the network computes.

    Attributes:
        build: Function of the number of labels, C, and of variations by name; returns a network with random weights,
            from pixels ``(B, 3, S, S)`` float32 to logits ``(B, C)``.
        features: Function of the network and pixels; returns the maps after the last activation, ``(B, K, h, w)``.
        head: Function of the network and these maps; returns logits ``(B, C)``.
        head_name: Dotted name of the submodule with the last layer: the part that is trained when the others are
            frozen, and that is new when weights come with another number of outputs.
        pre_relu: Features and head of a division before the last activation; None if there is none.
        variations: Names of the variations that ``build`` takes; None for any.
        imagenet: Function that downloads ImageNet weights; None if there are none.
    """

    build: Callable[..., nn.Module]
    features: NetworkPart
    head: NetworkPart
    head_name: str
    pre_relu: tuple[NetworkPart, NetworkPart] | None = None
    variations: frozenset[str] | None = frozenset()
    imagenet: Callable[[], Mapping[str, Tensor]] | None = None

    def parts(self, target_layer: TargetLayer) -> tuple[NetworkPart, NetworkPart] | None:
        """Features and head, divided at a layer; None if there is no such layer."""
        return self.pre_relu if target_layer == "pre_relu" else (self.features, self.head)
