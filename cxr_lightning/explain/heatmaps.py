"""Heat maps at the image's resolution, and overlays of chosen images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam, normalize, upsample
from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.models.network import Network
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.utils.coordinates import FractionalBox

ReadImage = Callable[[int], Tensor]
"""Function that returns an image by its row in the predictions, ``(1, S, S)`` uint8."""


@dataclass(frozen=True)
class OverlayRequest:
    """An image and a label whose heat map is computed.

    Attributes:
        row: The image's row in the predictions.
        column: The label's column in the network's logits.
        image_id, label, kind, probability, target, boxes: As in :class:`~cxr_lightning.explain.results.Overlay`.
    """

    row: int
    column: int
    image_id: str
    label: str
    kind: str
    probability: float
    target: float
    boxes: tuple[FractionalBox, ...]


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


def compute_overlays(
    grad_cam: GradCam, read_image: ReadImage, requests: Sequence[OverlayRequest]
) -> tuple[Overlay, ...]:
    """Compute the heat maps of requested images and labels.

    Args:
        grad_cam: Grad-CAM of the network that made the predictions.
        read_image: Reads the images.
        requests: Images and labels.
    """
    overlays = []
    for request in requests:
        image = read_image(request.row)
        heatmap = image_heatmaps(grad_cam, image[None], [request.column])[0, 0]
        overlays.append(
            Overlay(
                request.image_id,
                request.label,
                request.kind,
                image[0].numpy(),
                heatmap.numpy(),
                request.probability,
                request.target,
                request.boxes,
            )
        )
    return tuple(overlays)


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
