"""A picture and what a network says of it, by which another installation is found to compute the same, or not."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cxr_lightning.utils.precision import exact_float32


@dataclass(frozen=True)
class Reference:
    """The pair.

    Attributes:
        image: ``(1, S, S)`` uint8.
        probabilities: C of them, as computed when the network was saved; none before.
    """

    image: Tensor
    probabilities: tuple[float, ...] | list[float] = ()


def exact_probabilities(model: nn.Module, image: Tensor) -> list[float]:
    """Probabilities of one image in float32, whatever the network is doing otherwise; it goes on with that.

    Args:
        model: Gives logits ``(B, C)``.
        image: ``(1, S, S)`` uint8.
    """
    device = next(model.parameters()).device
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False), exact_float32():
            found: list[float] = model(image[None].to(device)).float().sigmoid()[0].tolist()
    finally:
        for module, training in modes:
            module.training = training
    return found
