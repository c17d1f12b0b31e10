"""A reference image and a network's probabilities for it, by which two installations are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

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


def exact_probabilities(network: nn.Module, image: Tensor, state: Mapping[str, Tensor] | None = None) -> list[float]:
    """Probabilities of one image, computed in float32 and evaluation mode; the modules' modes are restored.

    Args:
        network: A module from images to logits ``(B, C)``.
        image: ``(1, S, S)`` uint8.
        state: Parameters and buffers to use instead of the network's, by its names.
    """
    device = next(network.parameters()).device
    tensors = {name: tensor.to(device) for name, tensor in (state or {}).items()}
    with evaluation_mode(network), torch.no_grad(), torch.autocast(device.type, enabled=False), exact_float32():
        probabilities: list[float] = (
            functional_call(network, tensors, (image[None].to(device),)).float().sigmoid()[0].tolist()
        )
    return probabilities
