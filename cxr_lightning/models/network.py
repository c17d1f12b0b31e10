"""The network: preprocessing and a backbone, from gray images to logits. Independent of Lightning."""

import torch
from torch import Tensor, nn

from cxr_lightning.models.backbones import TORCHVISION_BATCH_NORM_EPSILON, build_backbone, head_name
from cxr_lightning.models.preprocess import Mode, Preprocess

BACKBONE_PREFIX = "network.backbone."
"""Prefix of the backbone's tensors in the state of a :class:`~cxr_lightning.models.classifier.ChestXRayClassifier`."""


class Network(nn.Module):
    """Preprocessing and a backbone with one output per label.

    Args:
        backbone: A name in ``cxr_lightning.models.backbones.BACKBONES``.
        num_labels: Number of outputs, C.
        preprocessing: ``imagenet``, ``featurewise``, ``samplewise`` or ``none``.
        mean: Mean of the training pixels in [0, 255], with ``featurewise``.
        std: Standard deviation of the training pixels in [0, 255], with ``featurewise``.
        batch_norm_epsilon: Epsilon of a DenseNet's batch normalizations; networks from Keras have 1.001e-5.
        final_relu: Whether a DenseNet has an activation after its last batch normalization.
        drop_rate: Fraction of a DenseNet's features that each of its layers drops in training.

    Attributes:
        backbone_name: The backbone's name.
    """

    def __init__(
        self,
        backbone: str,
        num_labels: int,
        *,
        preprocessing: Mode = "imagenet",
        mean: float | None = None,
        std: float | None = None,
        batch_norm_epsilon: float = TORCHVISION_BATCH_NORM_EPSILON,
        final_relu: bool = True,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone_name = backbone
        self.preprocess = Preprocess(preprocessing, mean=mean, std=std)
        self.backbone = build_backbone(
            backbone, num_labels, batch_norm_epsilon=batch_norm_epsilon, final_relu=final_relu, drop_rate=drop_rate
        )
        # Convolutions are fastest with channels last: parameters and images both.
        self.backbone.to(memory_format=torch.channels_last)

    @property
    def head(self) -> nn.Module:
        """The last linear layer."""
        return self.backbone.get_submodule(head_name(self.backbone_name))

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def pixels(self, images: Tensor) -> Tensor:
        """The backbone's input.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].

        Returns:
            ``(B, 3, S, S)`` float32, channels last.
        """
        normalized: Tensor = self.preprocess(images)
        return normalized.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].

        Returns:
            ``(B, C)``.
        """
        logits: Tensor = self.backbone(self.pixels(images))
        return logits

    def freeze_backbone(self) -> None:
        """Freeze all parameters but those of the last linear layer, and the batch-norm statistics."""
        self.requires_grad_(False)
        self.head.requires_grad_(True)
        self.eval()
