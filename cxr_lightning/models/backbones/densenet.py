"""DenseNets: torchvision's networks, with the variations that those from Keras have."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import DenseNet

from cxr_lightning.models.backbones.base import Backbone
from cxr_lightning.models.backbones.torchvision_networks import download_imagenet, features_of_child

TORCHVISION_BATCH_NORM_EPSILON = 1e-5
"""Epsilon of torchvision's batch normalizations."""

DENSENET_BLOCKS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)}
"""Number of dense layers in each dense block of the published networks, by name; their other sizes are the same."""


class _DenseNet(DenseNet):  # type: ignore[misc]  # torchvision ships no types
    """torchvision's DenseNet, with another epsilon or without the last activation."""

    def __init__(self, *, batch_norm_epsilon: float, final_relu: bool, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.final_relu = final_relu
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = batch_norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Logits, ``(B, C)``."""
        features = self.features(x)
        if self.final_relu:
            features = F.relu(features, inplace=True)
        return _head(self, features)


def _features(network: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
    maps = features_of_child(network, pixels)
    return F.relu(maps) if network.final_relu else maps


def _head(network: Any, maps: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = network.classifier(F.adaptive_avg_pool2d(maps, (1, 1)).flatten(1))
    return logits


def _pre_relu_head(network: Any, maps: Tensor) -> Tensor:  # noqa: ANN401
    return _head(network, F.relu(maps) if network.final_relu else maps)


def _build(
    sizes: Mapping[str, Any],
    num_labels: int,
    *,
    batch_norm_epsilon: float = TORCHVISION_BATCH_NORM_EPSILON,
    final_relu: bool = True,
    drop_rate: float = 0.0,
) -> nn.Module:
    if not batch_norm_epsilon > 0:
        raise ValueError(f"Expected `model.batch_norm_epsilon` above 0 but got {batch_norm_epsilon}.")
    if not 0 <= drop_rate < 1:
        raise ValueError(f"Expected `model.drop_rate` in [0, 1) but got {drop_rate}.")
    return _DenseNet(
        batch_norm_epsilon=batch_norm_epsilon,
        final_relu=final_relu,
        drop_rate=drop_rate,
        num_classes=num_labels,
        **sizes,
    )


def densenet_backbone(
    block_config: tuple[int, ...],
    *,
    growth_rate: int = 32,
    num_init_features: int = 64,
    bn_size: int = 4,
    imagenet: Callable[[], Mapping[str, Tensor]] | None = None,
) -> Backbone:
    """The backbone of a DenseNet, with the sizes of the published networks if no others are given.

    Args:
        block_config: Number of dense layers in each dense block.
        growth_rate: Number of maps that each dense layer adds.
        num_init_features: Number of maps before the first block.
        bn_size: Width of the bottleneck in each dense layer, in growth rates.
        imagenet: Function that downloads ImageNet weights; None if there are none.
    """
    sizes = {
        "block_config": block_config,
        "growth_rate": growth_rate,
        "num_init_features": num_init_features,
        "bn_size": bn_size,
    }
    return Backbone(
        partial(_build, sizes),
        _features,
        _head,
        "classifier",
        pre_relu=(features_of_child, _pre_relu_head),
        variations=frozenset({"batch_norm_epsilon", "final_relu", "drop_rate"}),
        imagenet=imagenet,
    )


DENSENETS = {
    **{
        name: densenet_backbone(blocks, imagenet=partial(download_imagenet, name))
        for name, blocks in DENSENET_BLOCKS.items()
    },
    # 5,000 parameters: for tests and `debug=fast`, with the tensor names of the large ones.
    "densenet_micro": densenet_backbone((2, 2, 2, 2), growth_rate=4, num_init_features=8, bn_size=2),
}
"""Backbones by name."""
