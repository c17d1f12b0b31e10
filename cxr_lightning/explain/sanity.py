"""Sanity checks: whether heat maps depend on what the network has learned, and whether hot pixels matter.

References:
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018 (cascading randomization); Petsiuk et al., "RISE",
    BMVC 2018 (deletion and insertion; pixels are replaced by the image's mean, here a twentieth of them at a time).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import image_heatmaps
from cxr_lightning.explain.results import SanityResult

_STEPS = 20


def check_sanity(grad_cam: GradCam, images: Tensor, columns: Sequence[int], seed: int) -> SanityResult | None:
    """Compare maps with those of randomized weights, and measure the probability while pixels are removed or inserted.

    Args:
        grad_cam: The network's Grad-CAM.
        images: ``(B, 1, S, S)`` uint8.
        columns: One column of the logits for each image.
        seed: Seed of the random weights and of the random order.

    Returns:
        Results for the images whose map is not empty; None if there are none.
    """
    maps = _maps(grad_cam, images, columns)
    nonempty = [row for row, heatmap in enumerate(maps) if heatmap.any()]  # an empty map never changes
    if not nonempty:
        return None
    images, columns = images[nonempty], [columns[row] for row in nonempty]
    maps = [maps[row] for row in nonempty]
    generator = np.random.default_rng(seed)
    orders = [np.argsort(-heatmap.ravel(), kind="stable") for heatmap in maps]
    random_orders = [generator.permutation(len(order)) for order in orders]
    areas = {
        name: np.mean(
            [
                _area_under_probability(grad_cam, image, column, order, insert=insert)
                for image, column, order in zip(images, columns, pixel_orders, strict=True)
            ]
        )
        for name, pixel_orders, insert in (
            ("deletion", orders, False),
            ("random_deletion", random_orders, False),
            ("insertion", orders, True),
            ("random_insertion", random_orders, True),
        )
    }
    similarity = randomized_similarity(grad_cam, images, columns, maps, seed)
    return SanityResult(len(images), similarity, **{name: float(value) for name, value in areas.items()})


def _maps(grad_cam: GradCam, images: Tensor, columns: Sequence[int]) -> list[NDArray[np.float32]]:
    return [
        image_heatmaps(grad_cam, image[None], [column])[0, 0].numpy()
        for image, column in zip(images, columns, strict=True)
    ]


def randomized_similarity(
    grad_cam: GradCam, images: Tensor, columns: Sequence[int], maps: Sequence[NDArray[np.float32]], seed: int
) -> Mapping[str, float]:
    """Mean rank correlation of maps before and after stages are randomized one after another, from the output on.

    Args:
        grad_cam: The network's Grad-CAM; the network is not changed.
        images: ``(B, 1, S, S)``.
        columns: One column of the logits for each image.
        maps: Maps of the network before randomization.
        seed: Seed of the random weights.

    Returns:
        Similarity by the name of the last randomized stage.
    """
    network = copy.deepcopy(grad_cam.network)
    similarity = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, stage in network.stages():
            for module in stage.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
            randomized = _maps(GradCam(network, grad_cam.target_layer), images, columns)
            pairs = zip(maps, randomized, strict=True)
            similarity[name] = float(
                np.mean([rank_correlation(before.ravel(), after.ravel()) for before, after in pairs])
            )
    return similarity


def rank_correlation(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Spearman's rank correlation, with mean ranks for ties; 0 if either array is constant.

    Example:
        >>> rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 20, 15]))
        0.5
    """
    ranks = []
    for values in (first, second):
        _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[index])
    a, b = (rank - rank.mean() for rank in ranks)
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / norm, 12) if norm > 0 else 0.0


def _area_under_probability(
    grad_cam: GradCam, image: Tensor, column: int, order: NDArray[np.intp], *, insert: bool
) -> float:
    """Area under the probability while pixels are removed, or inserted into an image of their mean, in an order."""
    flat = image.flatten().float()
    mean = flat.mean()
    steps = []
    for step in range(_STEPS + 1):
        changed = torch.from_numpy(order[: len(order) * step // _STEPS].copy())
        pixels = torch.full_like(flat, float(mean)) if insert else flat.clone()
        pixels[changed] = flat[changed] if insert else mean
        steps.append(pixels.reshape(image.shape))
    with torch.no_grad():
        probability = grad_cam.network(torch.stack(steps).to(grad_cam.network.device)).float().sigmoid()[:, column]
    return float(torch.trapezoid(probability.cpu(), dx=1 / _STEPS))
