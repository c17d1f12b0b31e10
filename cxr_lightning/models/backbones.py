"""Backbones by name: networks from three-channel images to logits."""

from typing import Any

import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import DenseNet

_HEADS: dict[str, str] = {
    "densenet121": "classifier",
    "densenet169": "classifier",
    "densenet201": "classifier",
    "densenet_micro": "classifier",
    "resnet50": "fc",
    "convnext_tiny": "classifier.2",
    "convnext_small": "classifier.2",
    "convnext_base": "classifier.2",
    "efficientnet_v2_s": "classifier.1",
    "efficientnet_v2_m": "classifier.1",
    "swin_v2_t": "head",
    "swin_v2_s": "head",
}
"""Dotted name of each backbone's last linear layer."""

BACKBONES = tuple(_HEADS)

TORCHVISION_BATCH_NORM_EPSILON = 1e-5
"""Epsilon of torchvision's batch normalizations."""

_DENSENETS: dict[str, dict[str, Any]] = {
    "densenet121": {"growth_rate": 32, "block_config": (6, 12, 24, 16), "num_init_features": 64},
    "densenet169": {"growth_rate": 32, "block_config": (6, 12, 32, 32), "num_init_features": 64},
    "densenet201": {"growth_rate": 32, "block_config": (6, 12, 48, 32), "num_init_features": 64},
    # 5,000 parameters: for tests and `debug=fast`, with the key names of the large ones.
    "densenet_micro": {"growth_rate": 4, "block_config": (2, 2, 2, 2), "num_init_features": 8, "bn_size": 2},
}


class _DenseNet(DenseNet):  # type: ignore[misc]  # torchvision ships no types
    """torchvision's DenseNet, with the two variations that networks from Keras have."""

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
        pooled = F.adaptive_avg_pool2d(features, (1, 1)).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits


def build_backbone(
    name: str,
    num_labels: int,
    *,
    batch_norm_epsilon: float = TORCHVISION_BATCH_NORM_EPSILON,
    final_relu: bool = True,
    drop_rate: float = 0.0,
) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: One of ``BACKBONES``.
        num_labels: Number of outputs, C.
        batch_norm_epsilon: Epsilon of a DenseNet's batch normalizations; networks from Keras have 1.001e-5.
        final_relu: Whether a DenseNet has an activation after its last batch normalization; some from Keras have none.
        drop_rate: Fraction of a DenseNet's features that each of its layers drops in training.

    Returns:
        A module from ``(B, 3, H, W)`` float32 to logits ``(B, C)``.

    Raises:
        ValueError: If the name is unknown, the epsilon is not positive, or a variation is set for another network.
    """
    if name not in _HEADS:
        raise ValueError(f"Expected `model.backbone` to be one of {list(BACKBONES)} but got {name!r}.")
    if not batch_norm_epsilon > 0:
        raise ValueError(f"Expected `model.batch_norm_epsilon` above 0 but got {batch_norm_epsilon}.")
    if not 0 <= drop_rate < 1:
        raise ValueError(f"Expected `model.drop_rate` in [0, 1) but got {drop_rate}.")
    if name in _DENSENETS:
        return _DenseNet(
            batch_norm_epsilon=batch_norm_epsilon,
            final_relu=final_relu,
            drop_rate=drop_rate,
            num_classes=num_labels,
            **_DENSENETS[name],
        )
    if batch_norm_epsilon != TORCHVISION_BATCH_NORM_EPSILON or not final_relu or drop_rate:
        raise ValueError(
            f"Expected a DenseNet for another batch-norm epsilon, no final ReLU or a drop rate but got {name!r}. "
            "Leave them out."
        )
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_labels)
    return network


def head_name(name: str) -> str:
    """The dotted name of a network's last linear layer."""
    return _HEADS[name]
