"""Do heat maps depend on what the model has learned, and do the hot pixels matter?

References:
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018 (cascading randomisation); Petsiuk et al., "RISE",
    BMVC 2018 (deletion and insertion; pixels are removed by the image's mean, here a twentieth of them at a time).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxr_lightning.explain.explanation import Sanity
from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import image_heatmaps
from cxr_lightning.models.backbones import head_name

_STEPS = 20


def check_sanity(camera: GradCam, images: Tensor, labels: Sequence[int], seed: int) -> Sanity | None:
    """Randomise the network from its output on and compare maps; remove and put back pixels and watch the probability.

    Args:
        camera: Of the model.
        images: ``(B, 1, S, S)`` uint8.
        labels: One column of the logits for each image.
        seed: Draws weights and the random order.

    Returns:
        Of the images whose map is not empty; None if there are none.
    """
    maps = _maps(camera, images, labels)
    shown = [row for row, heatmap in enumerate(maps) if heatmap.any()]  # an empty map depends on nothing
    if not shown:
        return None
    images, labels, maps = images[shown], [labels[row] for row in shown], [maps[row] for row in shown]
    generator = np.random.default_rng(seed)
    orders = [np.argsort(-heatmap.ravel(), kind="stable") for heatmap in maps]
    noise = [generator.permutation(len(order)) for order in orders]
    curves = {
        name: np.mean(
            [
                _area(camera, image, label, order, insert=insert)
                for image, label, order in zip(images, labels, chosen, strict=True)
            ]
        )
        for name, chosen, insert in (
            ("deletion", orders, False),
            ("random_deletion", noise, False),
            ("insertion", orders, True),
            ("random_insertion", noise, True),
        )
    }
    similarity = randomised_similarity(camera, images, labels, maps, seed)
    return Sanity(len(images), similarity, **{name: float(value) for name, value in curves.items()})


def _maps(camera: GradCam, images: Tensor, labels: Sequence[int]) -> list[NDArray[np.float32]]:
    return [
        image_heatmaps(camera, image[None], [label])[0, 0].numpy() for image, label in zip(images, labels, strict=True)
    ]


def randomised_similarity(
    camera: GradCam, images: Tensor, labels: Sequence[int], maps: Sequence[NDArray[np.float32]], seed: int
) -> Mapping[str, float]:
    """Mean rank correlation of maps before and after more and more of the network is drawn anew.

    Args:
        camera: Of the model; it is not changed.
        images: ``(B, 1, S, S)``.
        labels: One column of the logits for each image.
        maps: Of the model as it is.
        seed: Draws the weights.

    Returns:
        By the name of the last stage that was randomised, from the output on.
    """
    model = copy.deepcopy(camera.model)
    found = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, stage in _stages(model.network, str(model.hparams["backbone"])):
            for module in stage.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
            changed = _maps(GradCam(model, camera.target_layer), images, labels)
            pairs = zip(maps, changed, strict=True)
            found[name] = float(np.mean([rank_correlation(before.ravel(), after.ravel()) for before, after in pairs]))
    return found


def _stages(network: nn.Module, backbone: str) -> list[tuple[str, nn.Module]]:
    """The last layer, then the trunk's children from the last to the first."""
    head = head_name(backbone)
    trunk = network.get_submodule("features") if hasattr(network, "features") else network
    children = [(name, child) for name, child in trunk.named_children() if not head.startswith(name)]
    with_weights = [(name, child) for name, child in children if any(True for _ in child.parameters())]
    return [(head, network.get_submodule(head)), *reversed(with_weights)]


def rank_correlation(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Spearman's, ties by their mean rank; 0 where one is the same everywhere.

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


def _area(camera: GradCam, image: Tensor, label: int, order: NDArray[np.intp], *, insert: bool) -> float:
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
        probability = camera.model(torch.stack(steps).to(camera.model.device)).float().sigmoid()[:, label]
    return float(torch.trapezoid(probability.cpu(), dx=1 / _STEPS))
