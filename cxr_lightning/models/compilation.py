"""A network compiled by torch for training."""

import torch
from torch import Tensor, nn


class CompiledForward:
    """The forward pass of a network, compiled; the network itself and its tensors' names stay as they are.

    A last, smaller batch of an epoch is computed by the network, since it would be compiled again.

    Args:
        network: A module from images to logits.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._compiled = torch.compile(network.forward)  # a compiled module would change the tensors' names
        self._batch_size: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of a batch, ``(B, C)``.

        Args:
            images: ``(B, 1, S, S)``; the first batch determines the size that is compiled.
        """
        self._batch_size = self._batch_size or len(images)
        forward = self._compiled if len(images) == self._batch_size else self._network
        logits: Tensor = forward(images)
        return logits
