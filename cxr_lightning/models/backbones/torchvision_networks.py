"""Networks of torchvision: an entry each, and how the networks of a family are divided."""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from cxr_lightning.models.backbones.base import Backbone, NetworkPart
from cxr_lightning.utils.torch_io import first_line


def torchvision_backbone(name: str, features: NetworkPart, head: NetworkPart, head_name: str) -> Backbone:
    """The backbone of a network in torchvision.

    Args:
        name: Name of the network in torchvision.
        features: Function of the network and pixels; returns maps ``(B, K, h, w)``.
        head: Function of the network and these maps; returns logits.
        head_name: Dotted name of the last linear layer.
    """
    return Backbone(partial(_build, name), features, head, head_name, imagenet=partial(download_imagenet, name))


def _build(name: str, num_labels: int) -> nn.Module:
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_labels)
    return network


def download_imagenet(name: str) -> dict[str, Tensor]:
    """Download torchvision's ImageNet weights of a network, unless they are in torch's folder already.

    Raises:
        ConnectionError: If they cannot be downloaded, or the file is damaged.
        FileNotFoundError: If there is no home folder to keep them in.
    """
    enum = torchvision.models.get_model_weights(name).DEFAULT
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if folder.parts[0] == "~":
        raise FileNotFoundError(
            "Expected a home folder to keep ImageNet weights in but there is none. Set HOME or TORCH_HOME in the "
            "environment, or 'model.weights=null' (random)."
        )
    try:
        state: dict[str, Tensor] = torchvision.models.get_model(name, weights=enum).state_dict()
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:  # no network; or a damaged file
        raise ConnectionError(
            f"Expected ImageNet weights of {name} from {enum.url} but the download failed ({first_line(error)}). "
            f"Put that file into '{folder}' (TORCH_HOME in the environment moves it), name a file in `model.weights`, "
            "or set 'model.weights=null' (random)."
        ) from error
    return state


def features_of_child(network: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    """Maps of a network's child with the name ``features``."""
    maps: Tensor = network.features(pixels)
    return maps


def _resnet_features(network: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    maps: Tensor = network.maxpool(network.relu(network.bn1(network.conv1(pixels))))
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        maps = stage(maps)
    return maps


def _resnet_head(network: Any, maps: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = network.fc(network.avgpool(maps).flatten(1))
    return logits


def _convnext_head(network: Any, maps: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = network.classifier(network.avgpool(maps))  # normalizes, and then flattens
    return logits


def _efficientnet_head(network: Any, maps: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = network.classifier(network.avgpool(maps).flatten(1))
    return logits


def _swin_features(network: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    """Swin computes ``(B, h, w, K)`` until its last normalization; the maps are those after its permutation."""
    maps: Tensor = network.permute(network.norm(network.features(pixels)))
    return maps


def _swin_head(network: Any, maps: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = network.head(network.flatten(network.avgpool(maps)))
    return logits


_PARTS: dict[str, tuple[NetworkPart, NetworkPart, str]] = {
    "resnet50": (_resnet_features, _resnet_head, "fc"),
    "convnext_tiny": (features_of_child, _convnext_head, "classifier.2"),
    "convnext_small": (features_of_child, _convnext_head, "classifier.2"),
    "convnext_base": (features_of_child, _convnext_head, "classifier.2"),
    "efficientnet_v2_s": (features_of_child, _efficientnet_head, "classifier.1"),
    "efficientnet_v2_m": (features_of_child, _efficientnet_head, "classifier.1"),
    "swin_v2_t": (_swin_features, _swin_head, "head"),
    "swin_v2_s": (_swin_features, _swin_head, "head"),
}
"""Features, head and dotted name of the last layer of each network."""

TORCHVISION_NETWORKS = {name: torchvision_backbone(name, *parts) for name, parts in _PARTS.items()}
"""Backbones by their names in torchvision, without DenseNets."""
