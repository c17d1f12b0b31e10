"""A backbone: a function that gives its two parts."""

from torch import nn


def tiny(num_labels: int, *, width: int = 8) -> tuple[nn.Module, nn.Module]:
    """Three convolutions, then pooling and a linear layer.

    Args:
        num_labels: Number of outputs, C.
        width: Channels of the first convolution.

    Returns:
        Features, from ``(B, 3, S, S)`` to maps ``(B, 4 * width, S / 8, S / 8)``, and head, from the maps to logits
        ``(B, C)``.
    """
    stages: list[nn.Module] = []
    channels = 3
    for factor in (1, 2, 4):
        stages += [
            nn.Conv2d(channels, factor * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(factor * width),
            nn.ReLU(),
        ]
        channels = factor * width
    return nn.Sequential(*stages), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_labels))
