"""Split a backbone into features, up to the maps of the target layer, and head, from the maps to the logits."""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

TargetLayer = Literal["post_relu", "pre_relu"]
"""The layer of the last feature maps: after the final activation, or before it as in the Keras walk-through."""

TensorFunction = Callable[[Tensor], Tensor]


def split_backbone(network: Any, backbone: str, target_layer: TargetLayer) -> tuple[TensorFunction, TensorFunction]:  # noqa: ANN401
    """Split a backbone at its target layer.

    Args:
        network: The backbone, a module from ``(B, 3, S, S)`` to logits.
        backbone: Name of the backbone.
        target_layer: Layer at which it is split; ``pre_relu`` exists in DenseNets only.

    Returns:
        The features, a function from ``(B, 3, S, S)`` to maps ``(B, K, h, w)``, and the head, a function from the maps
        to logits ``(B, C)``.

    Raises:
        ValueError: If the backbone has no such layer.
    """
    if backbone.startswith("densenet"):
        return _split_densenet(network, target_layer)
    if target_layer == "pre_relu":
        raise ValueError(f"Expected a DenseNet for the target layer pre_relu but got {backbone}. Use post_relu.")
    if backbone.startswith("resnet"):
        return _split_resnet(network)
    if backbone.startswith("swin"):
        return _split_swin(network)

    def head(maps: Tensor) -> Tensor:  # ConvNeXt and EfficientNet
        pooled = network.avgpool(maps)
        logits: Tensor = network.classifier(pooled if backbone.startswith("convnext") else pooled.flatten(1))
        return logits

    return network.features, head


def _split_densenet(network: Any, target_layer: TargetLayer) -> tuple[TensorFunction, TensorFunction]:  # noqa: ANN401
    before = target_layer == "pre_relu"

    def features(pixels: Tensor) -> Tensor:
        maps: Tensor = network.features(pixels)
        return maps if before or not network.final_relu else F.relu(maps)

    def head(maps: Tensor) -> Tensor:
        maps = F.relu(maps) if before and network.final_relu else maps
        logits: Tensor = network.classifier(F.adaptive_avg_pool2d(maps, (1, 1)).flatten(1))
        return logits

    return features, head


def _split_resnet(network: Any) -> tuple[TensorFunction, TensorFunction]:  # noqa: ANN401
    stages = [network.conv1, network.bn1, network.relu, network.maxpool]
    stages += [network.layer1, network.layer2, network.layer3, network.layer4]

    def features(pixels: Tensor) -> Tensor:
        for stage in stages:
            pixels = stage(pixels)
        return pixels

    def head(maps: Tensor) -> Tensor:
        logits: Tensor = network.fc(network.avgpool(maps).flatten(1))
        return logits

    return features, head


def _split_swin(network: Any) -> tuple[TensorFunction, TensorFunction]:  # noqa: ANN401
    """Swin works on (B, h, w, K) until its last normalization; the maps are taken after its permutation."""

    def features(pixels: Tensor) -> Tensor:
        maps: Tensor = network.permute(network.norm(network.features(pixels)))
        return maps

    def head(maps: Tensor) -> Tensor:
        logits: Tensor = network.head(network.flatten(network.avgpool(maps)))
        return logits

    return features, head
