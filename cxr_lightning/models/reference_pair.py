"""A reference image and a network's probabilities for it, by which two installations are compared."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cxr_lightning.models.evaluation_mode import evaluation_mode
from cxr_lightning.utils.precision import exact_float32


@dataclass(frozen=True)
class ReferencePair:
    """A reference image and its probabilities.

    Attributes:
        image: ``(1, S, S)`` uint8.
        probabilities: C probabilities, computed when the network is saved; empty before that.
    """

    image: Tensor
    probabilities: tuple[float, ...] | list[float] = ()


def exact_probabilities(network: nn.Module, image: Tensor) -> list[float]:
    """Probabilities of one image, computed in float32 and evaluation mode; the modules' modes are restored.

    Args:
        network: A module from images to logits ``(B, C)``.
        image: ``(1, S, S)`` uint8.
    """
    device = next(network.parameters()).device
    with evaluation_mode(network), torch.no_grad(), torch.autocast(device.type, enabled=False), exact_float32():
        probabilities: list[float] = network(image[None].to(device)).float().sigmoid()[0].tolist()
    return probabilities
