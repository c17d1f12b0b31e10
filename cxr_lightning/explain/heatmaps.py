"""Heat maps at the image's resolution, and overlays of a single image."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam, normalize, upsample
from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.models.network import Network
from cxr_lightning.models.target_layer import TargetLayer


def image_heatmaps(grad_cam: GradCam, images: Tensor, columns: Sequence[int]) -> Tensor:
    """Compute normalized heat maps at the images' resolution.

    Args:
        grad_cam: The network's Grad-CAM.
        images: ``(B, 1, S, S)`` uint8.
        columns: Columns of the logits, L of them.

    Returns:
        ``(B, L, S, S)`` float32 in [0, 1].
    """
    maps = grad_cam.heatmaps(images.to(grad_cam.network.device), columns)
    return normalize(upsample(maps.flatten(0, 1), images.shape[-1])).reshape(*maps.shape[:2], *images.shape[-2:])


def explain_image(
    network: Network,
    model_labels: Sequence[str],
    image_id: str,
    pixels: NDArray[np.uint8],
    labels: Sequence[str],
    target_layer: TargetLayer = "post_relu",
) -> tuple[Overlay, ...]:
    """Compute heat maps of one image.

    Args:
        network: Network on any device.
        model_labels: Labels of the network's outputs, in order.
        image_id: The image's name.
        pixels: ``(S, S)`` uint8, in the network's image size.
        labels: Labels to explain, a subset of the network's.
        target_layer: See :class:`~cxr_lightning.explain.grad_cam.GradCam`.

    Raises:
        ValueError: If a label is not among the network's.
    """
    if unknown := [label for label in labels if label not in model_labels]:
        raise ValueError(
            f"Expected labels among the model's, {list(model_labels)}, but got {unknown}. Correct the names."
        )
    columns = [list(model_labels).index(label) for label in labels]
    image = torch.from_numpy(pixels.copy())[None, None]
    maps = image_heatmaps(GradCam(network.eval(), target_layer), image, columns)[0]
    with torch.no_grad():
        probabilities = network(image.to(network.device)).float().sigmoid()[0].cpu()
    return tuple(
        Overlay(image_id, label, REQUESTED, pixels, heatmap.numpy(), float(probabilities[column]), float("nan"))
        for label, column, heatmap in zip(labels, columns, maps, strict=True)
    )
