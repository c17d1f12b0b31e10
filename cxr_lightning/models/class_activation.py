"""Class-activation maps: whether a network's last feature maps can be weighted into a map for each label.

References:
    Zhou et al., "Learning deep features for discriminative localization", 2016.
"""

import torch
from torch import nn

from cxr_lightning.models.evaluation_mode import evaluation_mode
from cxr_lightning.models.network import Network

_TOLERANCE = 1e-4
"""Accepted difference of logits, relative to the largest: float32 rounds by 1e-6, another head differs by far more."""


def linear_layer_after_pooling(network: Network) -> str | None:
    """Dotted name of the linear layer of a head that is global average pooling and that layer; None for other heads.

    A head is recognized by what it computes: the logits of random maps.

    Args:
        network: A network on any device.
    """
    layers = [(name, module) for name, module in network.head_layer.named_modules() if isinstance(module, nn.Linear)]
    if len(layers) != 1:
        return None
    ((name, layer),) = layers
    size, device = network.image_size, network.device
    with torch.no_grad(), evaluation_mode(network):
        shape = network.features(network.pixels(torch.zeros(1, 1, size, size, device=device))).shape
        if shape[1] != layer.in_features:
            return None
        # Of another mean and deviation than a normalization would give them.
        maps = (3 * torch.randn(2, *shape[1:], generator=torch.Generator().manual_seed(0)) + 1).to(device)
        expected = layer(maps.mean(dim=(2, 3)))
        difference = float((network.head(maps) - expected).abs().max())
    if not difference <= _TOLERANCE * float(expected.abs().max()):  # NaN is none either
        return None
    return ".".join(filter(None, ("backbone", network.architecture.head_name, name)))
