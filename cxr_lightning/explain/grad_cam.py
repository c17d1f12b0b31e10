"""Grad-CAM heat maps: where in an image a model found its evidence for a finding.

References:
    Selvaraju et al., "Grad-CAM", ICCV 2017; computed by captum's LayerGradCam.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.validation import check_choice

TargetLayer = Literal["post_relu", "pre_relu"]
"""The trunk's last maps: after the final activation, or before it as the Keras walk-through has them."""

_EVIDENCE = 1e-8
_CHUNK = 64  # pairs of image and label that the tail works on at once


class GradCam:
    """Heat maps of one model. The trunk runs once per image; captum works on what follows it, for each label.

    Args:
        model: On any device.
        target_layer: ``post_relu``, or ``pre_relu`` for a DenseNet.

    Raises:
        ValueError: If the layer is unknown, or the network has no such layer.
    """

    def __init__(self, model: ChestXRayClassifier, target_layer: TargetLayer = "post_relu") -> None:
        self.model = model
        self.target_layer: TargetLayer = check_choice("target_layer", target_layer, TargetLayer)
        self.trunk, rest = split_network(model.network, str(model.hparams["backbone"]), target_layer)
        self.tail = _Tail(rest)
        self._captum = LayerGradCam(self.tail, self.tail.entry)

    def activations(self, images: Tensor) -> Tensor:
        """The target layer's maps, ``(B, K, h, w)``, without gradient.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].
        """
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            pixels = self.model.preprocess(images).contiguous(memory_format=torch.channels_last)
            maps: Tensor = self.trunk(pixels)
        if maps.ndim != 4 or maps.shape[2] != maps.shape[3]:  # (B, h, w, K) of a Swin that was not turned
            raise RuntimeError(f"Expected the target layer's maps as (B, K, h, w) but got {tuple(maps.shape)}.")
        return maps

    def heatmaps(self, images: Tensor, labels: Sequence[int]) -> Tensor:
        """Grad-CAM maps at the target layer's resolution, as they come: not normalised, negative evidence as 0.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].
            labels: Columns of the logits, L of them.

        Returns:
            ``(B, L, h, w)`` float32 on the CPU.
        """
        rows, columns = len(images), len(labels)
        image = torch.arange(rows).repeat_interleave(columns)
        maps = self.pairs(images, image, torch.tensor(list(labels)).repeat(rows))
        return maps.reshape(rows, columns, *maps.shape[1:])

    def pairs(self, images: Tensor, image: Tensor, label: Tensor) -> Tensor:
        """Maps of chosen pairs of image and label.

        Args:
            images: ``(B, 1, S, S)``.
            image: Which image, ``(P,)`` in [0, B).
            label: Which column of the logits, ``(P,)``.

        Returns:
            ``(P, h, w)`` float32 on the CPU.
        """
        maps = self.activations(images)
        parts = [
            self._attribute(maps[image[start : start + _CHUNK]], label[start : start + _CHUNK])
            for start in range(0, len(image), _CHUNK)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, *maps.shape[2:])

    def _attribute(self, maps: Tensor, label: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            found = self._captum.attribute(maps.clone(), target=label.clone().to(maps.device), relu_attributions=True)
        attribution: Tensor = found.detach().float().cpu()[:, 0]
        return attribution


class _Tail(nn.Module):
    """What follows the target layer, with an entry that captum can take hold of."""

    def __init__(self, rest: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.entry = nn.Identity()
        self.rest = rest

    def forward(self, maps: Tensor) -> Tensor:
        """Logits, ``(B, C)``."""
        return self.rest(self.entry(maps))


Function = Callable[[Tensor], Tensor]


def split_network(network: Any, backbone: str, target_layer: TargetLayer) -> tuple[Function, Function]:  # noqa: ANN401
    """The network up to the target layer's maps ``(B, K, h, w)``, and from them to the logits."""
    if backbone.startswith("densenet"):
        return _split_densenet(network, target_layer)
    if target_layer == "pre_relu":
        raise ValueError(f"Expected a DenseNet for the target layer pre_relu but got {backbone}. Use post_relu.")
    if backbone.startswith("resnet"):
        return _split_resnet(network)
    if backbone.startswith("swin"):
        return _split_swin(network)

    def tail(maps: Tensor) -> Tensor:  # ConvNeXt and EfficientNet
        pooled = network.avgpool(maps)
        logits: Tensor = network.classifier(pooled if backbone.startswith("convnext") else pooled.flatten(1))
        return logits

    return network.features, tail


def _split_densenet(network: Any, target_layer: TargetLayer) -> tuple[Function, Function]:  # noqa: ANN401
    before = target_layer == "pre_relu"

    def trunk(pixels: Tensor) -> Tensor:
        maps: Tensor = network.features(pixels)
        return maps if before or not network.final_relu else F.relu(maps)

    def tail(maps: Tensor) -> Tensor:
        maps = F.relu(maps) if before and network.final_relu else maps
        logits: Tensor = network.classifier(F.adaptive_avg_pool2d(maps, (1, 1)).flatten(1))
        return logits

    return trunk, tail


def _split_resnet(network: Any) -> tuple[Function, Function]:  # noqa: ANN401
    stages = [network.conv1, network.bn1, network.relu, network.maxpool]
    stages += [network.layer1, network.layer2, network.layer3, network.layer4]

    def trunk(pixels: Tensor) -> Tensor:
        for stage in stages:
            pixels = stage(pixels)
        return pixels

    def tail(maps: Tensor) -> Tensor:
        logits: Tensor = network.fc(network.avgpool(maps).flatten(1))
        return logits

    return trunk, tail


def _split_swin(network: Any) -> tuple[Function, Function]:  # noqa: ANN401
    """Swin works on (B, h, w, K) until its last normalisation; the maps are taken after it has turned them."""

    def trunk(pixels: Tensor) -> Tensor:
        maps: Tensor = network.permute(network.norm(network.features(pixels)))
        return maps

    def tail(maps: Tensor) -> Tensor:
        logits: Tensor = network.head(network.flatten(network.avgpool(maps)))
        return logits

    return trunk, tail


def upsample(heatmaps: Tensor, size: int) -> Tensor:
    """Maps at the image's resolution, bilinear.

    Args:
        heatmaps: ``(P, h, w)``.
        size: Side in pixels, S.

    Returns:
        ``(P, S, S)``.
    """
    scaled: Tensor = LayerAttribution.interpolate(heatmaps[:, None], (size, size), interpolate_mode="bilinear")
    return scaled[:, 0]


def normalise(heatmaps: Tensor) -> Tensor:
    """Maps divided by their own maximum; one without positive evidence becomes 0 everywhere, not noise.

    Args:
        heatmaps: ``(P, H, W)``, not negative.

    Example:
        >>> normalise(torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]])).tolist()
        [[[0.0, 1.0]], [[0.0, 0.0]]]
    """
    highest = heatmaps.amax(dim=(1, 2), keepdim=True)
    return torch.where(highest > _EVIDENCE, heatmaps / highest.clamp(min=_EVIDENCE), 0.0)
