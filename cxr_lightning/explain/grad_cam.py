"""Grad-CAM heat maps: where in an image a network found its evidence for a label.

References:
    Selvaraju et al., "Grad-CAM", ICCV 2017; computed by captum's LayerGradCam.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from cxr_lightning.explain.class_activation_maps import MIN_EVIDENCE
from cxr_lightning.models.network import Network
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.utils.validation import check_choice

_PAIRS_PER_PASS = 64


class GradCam:
    """Grad-CAM of one network: features are computed once per image, and captum attributes the head for each label.

    Args:
        network: Network on any device, in evaluation mode.
        target_layer: Layer whose maps are used: ``post_relu``, or ``pre_relu`` for a DenseNet.

    Raises:
        ValueError: If the layer is unknown, or the network has no such layer.
    """

    def __init__(self, network: Network, target_layer: TargetLayer = "post_relu") -> None:
        self.network = network
        self.target_layer: TargetLayer = check_choice("target_layer", target_layer, TargetLayer)
        features, head = network.parts(self.target_layer)
        self.features = partial(features, network.backbone)
        self.head = _Head(partial(head, network.backbone))
        self._captum = LayerGradCam(self.head, self.head.entry)

    def activations(self, images: Tensor) -> Tensor:
        """Compute the target layer's maps, ``(B, K, h, w)``, without gradient.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].
        """
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return self.features(self.network.pixels(images))

    def heatmaps(self, images: Tensor, columns: Sequence[int]) -> Tensor:
        """Compute Grad-CAM maps at the target layer's resolution, not normalized; negative evidence is 0.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].
            columns: Columns of the logits, L of them.

        Returns:
            ``(B, L, h, w)`` float32 on the CPU.
        """
        rows, labels = len(images), len(columns)
        image = torch.arange(rows).repeat_interleave(labels)
        maps = self.heatmaps_of_pairs(images, image, torch.tensor(list(columns)).repeat(rows))
        return maps.reshape(rows, labels, *maps.shape[1:])

    def heatmaps_of_pairs(self, images: Tensor, image: Tensor, column: Tensor) -> Tensor:
        """Compute Grad-CAM maps of pairs of an image and a label.

        Args:
            images: ``(B, 1, S, S)``.
            image: Index of each pair's image, ``(P,)`` in [0, B).
            column: Column of the logits of each pair's label, ``(P,)``.

        Returns:
            ``(P, h, w)`` float32 on the CPU.
        """
        maps = self.activations(images)
        parts = [
            self._attribute(maps[image[start : start + _PAIRS_PER_PASS]], column[start : start + _PAIRS_PER_PASS])
            for start in range(0, len(image), _PAIRS_PER_PASS)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, *maps.shape[2:])

    def _attribute(self, maps: Tensor, column: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            result = self._captum.attribute(maps.clone(), target=column.clone().to(maps.device), relu_attributions=True)
        heatmaps: Tensor = result.detach().float().cpu()[:, 0]
        return heatmaps


class _Head(nn.Module):
    """The part after the target layer, with an identity module at its entry to which captum can attach hooks."""

    def __init__(self, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.entry = nn.Identity()
        self.head = head

    def forward(self, maps: Tensor) -> Tensor:
        """Logits, ``(B, C)``."""
        return self.head(self.entry(maps))


def upsample(heatmaps: Tensor, size: int) -> Tensor:
    """Interpolate maps bilinearly to the image's resolution.

    Args:
        heatmaps: Maps, ``(P, h, w)``.
        size: Side of the image in pixels, S.

    Returns:
        ``(P, S, S)``.
    """
    scaled: Tensor = LayerAttribution.interpolate(heatmaps[:, None], (size, size), interpolate_mode="bilinear")
    return scaled[:, 0]


def normalize(heatmaps: Tensor) -> Tensor:
    """Divide each map by its maximum; a map without positive evidence becomes 0 everywhere rather than noise.

    Args:
        heatmaps: Maps without negative values, ``(P, H, W)``.

    Example:
        >>> normalize(torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]])).tolist()
        [[[0.0, 1.0]], [[0.0, 0.0]]]
    """
    maximum = heatmaps.amax(dim=(1, 2), keepdim=True)
    return torch.where(maximum > MIN_EVIDENCE, heatmaps / maximum.clamp(min=MIN_EVIDENCE), 0.0)
