"""Heat maps at the image's resolution, and overlays of chosen images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam, normalize, upsample
from cxr_lightning.explain.results import Overlay
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
