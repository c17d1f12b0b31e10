"""The network: preprocessing and a backbone, from gray images to logits. Independent of Lightning."""

from typing import Any

import torch
from torch import Tensor, nn

from cxr_lightning.models.backbones.base import NetworkPart
from cxr_lightning.models.backbones.registry import build_backbone, find_backbone
from cxr_lightning.models.preprocess import Preprocess
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.models.settings_model import Mode

BACKBONE_PREFIX = "network.backbone."
"""Prefix of the backbone's tensors in the state of a :class:`~cxr_lightning.models.classifier.ChestXRayClassifier`."""


class Network(nn.Module):
    """Preprocessing and a backbone with one output per label.

    Args:
        backbone: See :func:`~cxr_lightning.models.backbones.registry.find_backbone`.
        num_labels: Number of outputs, C.
        preprocessing: ``imagenet``, ``featurewise``, ``samplewise`` or ``none``.
        mean: Mean of the training pixels in [0, 255], with ``featurewise``.
        std: Standard deviation of the training pixels in [0, 255], with ``featurewise``.
        image_size: Side of the images in pixels, S.
        variations: Arguments of the backbone by name. Those of DenseNets are ``batch_norm_epsilon`` (of all batch
            normalizations; networks from Keras have 1.001e-5), ``final_relu`` (whether an activation follows the last
            one; some from Keras have none) and ``drop_rate`` (fraction of the features that each layer drops in
            training).

    Attributes:
        backbone: The backbone's network.
        backbone_name: The backbone's name.
        architecture: The :class:`~cxr_lightning.models.backbones.base.Backbone` of that name.
    """

    def __init__(
        self,
        backbone: str,
        num_labels: int,
        *,
        preprocessing: Mode = "imagenet",
        mean: float | None = None,
        std: float | None = None,
        image_size: int = 224,
        **variations: Any,  # noqa: ANN401  # each backbone's own
    ) -> None:
        super().__init__()
        self.backbone_name = backbone
        self.architecture = find_backbone(backbone)
        self.image_size = image_size
        self.preprocess = Preprocess(preprocessing, mean=mean, std=std)
        self.backbone = build_backbone(backbone, num_labels, image_size=image_size, **variations)
        # Convolutions are fastest with channels last: parameters and images both.
        self.backbone.to(memory_format=torch.channels_last)

    @property
    def head_layer(self) -> nn.Module:
        """The last layer: all that is trained when the backbone is frozen."""
        return self.backbone.get_submodule(self.architecture.head_name)

    @property
    def trunk(self) -> nn.Module:
        """The layers before the last one, as a list of modules that is no part of the network."""
        return _without(self.head_layer, self.backbone)

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

    def parts(self, target_layer: TargetLayer) -> tuple[NetworkPart, NetworkPart]:
        """Features and head of the backbone, divided at a layer; functions of the backbone's network and an input.

        Raises:
            ValueError: If the backbone has no such layer.
        """
        parts = self.architecture.parts(target_layer)
        if parts is None:
            raise ValueError(
                "Expected a backbone with maps before its last activation, such as a DenseNet, for the target layer "
                f"{target_layer} but got {self.backbone_name}. Use post_relu."
            )
        return parts

    def features(self, pixels: Tensor, target_layer: TargetLayer = "post_relu") -> Tensor:
        """The maps of the target layer.

        Args:
            pixels: The backbone's input, ``(B, 3, S, S)``.
            target_layer: The layer; ``pre_relu`` exists in DenseNets only.

        Returns:
            ``(B, K, h, w)``.

        Raises:
            ValueError: If the backbone has no such layer.
        """
        return self.parts(target_layer)[0](self.backbone, pixels)

    def head(self, maps: Tensor, target_layer: TargetLayer = "post_relu") -> Tensor:
        """Logits, ``(B, C)``, of what :meth:`features` returns for the same layer."""
        return self.parts(target_layer)[1](self.backbone, maps)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Names and modules of the last layer, then of the features' children with parameters from last to first."""
        trunk = self.backbone.get_submodule("features") if hasattr(self.backbone, "features") else self.backbone
        children = [(name, child) for name, child in trunk.named_children() if self.head_layer not in child.modules()]
        with_weights = [(name, child) for name, child in children if any(True for _ in child.parameters())]
        if not with_weights and trunk is not self.backbone:
            with_weights = [("features", trunk)]  # one module without children
        return [(self.architecture.head_name, self.head_layer), *reversed(with_weights)]

    def freeze_backbone(self) -> None:
        """Freeze all parameters but those of the last layer, and the batch-norm statistics.

        Raises:
            ValueError: If the last layer has no parameters.
        """
        if not any(True for _ in self.head_layer.parameters()):
            raise ValueError(
                f"Expected parameters in the last layer, '{self.architecture.head_name}', of {self.backbone_name} to "
                "train them alone but it has none. Set 'model.freeze_backbone=false'."
            )
        self.requires_grad_(False)
        self.head_layer.requires_grad_(True)
        self.eval()


def _without(part: nn.Module, module: nn.Module) -> nn.Module:
    """The modules within one that do not hold a part of it, and the parameters of those that do."""
    if part not in module.modules():
        return module
    rest = [_without(part, child) for child in module.children() if child is not part]
    own = nn.Module()
    for name, parameter in module.named_parameters(recurse=False):
        own.register_parameter(name, parameter)
    return nn.ModuleList([own, *rest] if any(True for _ in own.parameters()) else rest)
