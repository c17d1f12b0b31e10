"""Networks by name: grey-as-three-channels images in, logits out."""

from collections.abc import Callable
from functools import partial

import torchvision
from torch import nn
from torchvision.models import DenseNet

_HEADS: dict[str, str] = {
    "densenet121": "classifier",
    "densenet169": "classifier",
    "densenet201": "classifier",
    "densenet_micro": "classifier",
    "resnet50": "fc",
    "convnext_tiny": "classifier.2",
    "convnext_small": "classifier.2",
    "convnext_base": "classifier.2",
    "efficientnet_v2_s": "classifier.1",
    "efficientnet_v2_m": "classifier.1",
    "swin_v2_t": "head",
    "swin_v2_s": "head",
}
"""Where each network keeps its last linear layer."""

BACKBONES = tuple(_HEADS)

_OWN: dict[str, Callable[..., nn.Module]] = {
    # 5,000 parameters: for tests and `debug=fast`, with the key names of the large ones.
    "densenet_micro": partial(DenseNet, growth_rate=4, block_config=(2, 2, 2, 2), num_init_features=8, bn_size=2),
}


def build_backbone(name: str, num_labels: int) -> nn.Module:
    """A network with random weights.

    Args:
        name: One of ``BACKBONES``.
        num_labels: C.

    Returns:
        A module from ``(B, 3, H, W)`` float32 to logits ``(B, C)``.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in _HEADS:
        raise ValueError(f"Expected `model.backbone` to be one of {list(BACKBONES)} but got {name!r}.")
    if name in _OWN:
        return _OWN[name](num_classes=num_labels)
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_labels)
    return network


def head_name(name: str) -> str:
    """The dotted name of a network's last linear layer."""
    return _HEADS[name]


def freeze_all_but_head(network: nn.Module, name: str) -> None:
    """Let only the last linear layer learn."""
    network.requires_grad_(False)
    network.get_submodule(head_name(name)).requires_grad_(True)
