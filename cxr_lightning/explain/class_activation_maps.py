"""Heat maps from class-activation maps, which exported files compute. No torch.

Of a network that ends in global average pooling and a linear layer, they are those of Grad-CAM.

References:
    Zhou et al., "Learning deep features for discriminative localization", 2016; Selvaraju et al., "Grad-CAM", ICCV
    2017, section 3.1 on their relation.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MIN_EVIDENCE = 1e-8
"""Value of a Grad-CAM map from which on it is evidence rather than noise of the computation."""


def heatmaps_from_activation_maps(maps: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Heat maps at the image's resolution, each divided by its maximum; 0 everywhere without positive evidence.

    Args:
        maps: ``(B, L, h, w)``, whose mean over the image is the logit less a constant.
        size: Side of the image in pixels, S.

    Returns:
        ``(B, L, S, S)`` in [0, 1].

    Example:
        >>> heatmaps_from_activation_maps(np.array([[[[-1.0, 2.0]]]], dtype=np.float32), 2)[0, 0].tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    # A gradient is the same at each of the h * w places that are averaged: the weight divided by their number.
    positive = np.maximum(maps, 0).astype(np.float32) / (maps.shape[2] * maps.shape[3])
    shape = (*maps.shape[:2], size, size)
    heatmaps = np.stack([_upsample(one, size) for one in positive.reshape(-1, *maps.shape[2:])]).reshape(shape)
    maximum = heatmaps.max(axis=(2, 3), keepdims=True)
    return np.where(maximum > MIN_EVIDENCE, heatmaps / np.maximum(maximum, MIN_EVIDENCE), np.float32(0))


def _upsample(heatmap: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Interpolate a map ``(h, w)`` bilinearly to ``(S, S)``, as torch does without aligned corners."""
    return np.asarray(Image.fromarray(heatmap).resize((size, size), Image.Resampling.BILINEAR))
