"""Sanity checks: do heat maps depend on what the network has learned, and do the hot pixels matter?

References:
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018 (cascading randomization); Petsiuk et al., "RISE",
    BMVC 2018 (deletion and insertion; pixels are removed by the image's mean, here a twentieth of them at a time).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import image_heatmaps
from cxr_lightning.explain.results import SanityResult
from cxr_lightning.models.backbones import head_name

_STEPS = 20


def check_sanity(grad_cam: GradCam, images: Tensor, columns: Sequence[int], seed: int) -> SanityResult | None:
    """Randomize the network from its output on and compare maps; remove and put back pixels and watch the probability.

    Args:
        grad_cam: The network's Grad-CAM.
        images: ``(B, 1, S, S)`` uint8.
        columns: One column of the logits for each image.
        seed: Seed of the random weights and of the random order.

    Returns:
        Results for the images whose map is not empty; None if there are none.
    """
    maps = _maps(grad_cam, images, columns)
    shown = [row for row, heatmap in enumerate(maps) if heatmap.any()]  # an empty map depends on nothing
    if not shown:
        return None
    images, columns, maps = images[shown], [columns[row] for row in shown], [maps[row] for row in shown]
    generator = np.random.default_rng(seed)
    orders = [np.argsort(-heatmap.ravel(), kind="stable") for heatmap in maps]
    noise = [generator.permutation(len(order)) for order in orders]
    curves = {
        name: np.mean(
            [
                _area(grad_cam, image, column, order, insert=insert)
                for image, column, order in zip(images, columns, chosen, strict=True)
            ]
        )
        for name, chosen, insert in (
            ("deletion", orders, False),
            ("random_deletion", noise, False),
            ("insertion", orders, True),
            ("random_insertion", noise, True),
        )
    }
    similarity = randomized_similarity(grad_cam, images, columns, maps, seed)
    return SanityResult(len(images), similarity, **{name: float(value) for name, value in curves.items()})


def _maps(grad_cam: GradCam, images: Tensor, columns: Sequence[int]) -> list[NDArray[np.float32]]:
    return [
        image_heatmaps(grad_cam, image[None], [column])[0, 0].numpy()
        for image, column in zip(images, columns, strict=True)
    ]


def randomized_similarity(
    grad_cam: GradCam, images: Tensor, columns: Sequence[int], maps: Sequence[NDArray[np.float32]], seed: int
) -> Mapping[str, float]:
    """Mean rank correlation of maps before and after more and more of the network is drawn anew.

    Args:
        grad_cam: The network's Grad-CAM; the network is not changed.
        images: ``(B, 1, S, S)``.
        columns: One column of the logits for each image.
        maps: Maps of the network as it is.
        seed: Seed of the random weights.

    Returns:
        Similarity by the name of the last stage that was randomized, from the output on.
    """
    network = copy.deepcopy(grad_cam.network)
    found = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, stage in _stages(network.backbone, network.backbone_name):
            for module in stage.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
            changed = _maps(GradCam(network, grad_cam.target_layer), images, columns)
            pairs = zip(maps, changed, strict=True)
            found[name] = float(np.mean([rank_correlation(before.ravel(), after.ravel()) for before, after in pairs]))
    return found


def _stages(backbone: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """The last layer, then the children of the features from the last to the first, by name."""
    head = head_name(name)
    trunk = backbone.get_submodule("features") if hasattr(backbone, "features") else backbone
    children = [(name, child) for name, child in trunk.named_children() if not head.startswith(name)]
    with_weights = [(name, child) for name, child in children if any(True for _ in child.parameters())]
    return [(head, backbone.get_submodule(head)), *reversed(with_weights)]


def rank_correlation(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Spearman's rank correlation, ties by their mean rank; 0 where one side is constant.

    Example:
        >>> rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 20, 15]))
        0.5
    """
    ranks = []
    for values in (first, second):
        _, place, tied = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(tied) - (tied - 1) / 2)[place])
    a, b = (rank - rank.mean() for rank in ranks)
    length = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / length, 12) if length > 0 else 0.0


def _area(grad_cam: GradCam, image: Tensor, column: int, order: NDArray[np.intp], *, insert: bool) -> float:
    """Mean probability while pixels are taken away, or put back, in an order: the area under that curve."""
    flat = image.flatten().float()
    mean = flat.mean()
    steps = []
    for step in range(_STEPS + 1):
        first = torch.from_numpy(order[: len(order) * step // _STEPS].copy())
        pixels = torch.full_like(flat, float(mean)) if insert else flat.clone()
        pixels[first] = flat[first] if insert else mean
        steps.append(pixels.reshape(image.shape))
    with torch.no_grad():
        probability = grad_cam.network(torch.stack(steps).to(grad_cam.network.device)).float().sigmoid()[:, column]
    return float(torch.trapezoid(probability.cpu(), dx=1 / _STEPS))
