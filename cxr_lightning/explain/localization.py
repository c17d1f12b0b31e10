"""How well heat maps find annotated boxes: scores of each pair of image and label, then of each label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam, normalize
from cxr_lightning.explain.results import LocalizationResult
from cxr_lightning.metrics.localization import (
    IOBB_THRESHOLDS,
    IOU_THRESHOLDS,
    best_possible_iou,
    box_mask,
    iou_and_iobb,
    pointing_game_hit,
)
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.metrics.resampling import Estimate, Resampling, draw_patients, estimate, proportion
from cxr_lightning.utils.coordinates import FractionalBox

ALL_LABELS = "all"
_BATCH_SIZE = 16


@dataclass(frozen=True)
class AnnotatedPair:
    """An image and a label for which it has boxes.

    Attributes:
        row: The image's number.
        label: The label.
        column: The label's column of the logits.
        patient_id: The image's patient.
        boxes: Boxes of this label, in fractions of the image's sides.
    """

    row: int
    label: str
    column: int
    patient_id: str
    boxes: tuple[FractionalBox, ...]


@dataclass(frozen=True)
class _PairScores:
    """Scores of each pair: arrays of the same length."""

    label: NDArray[np.object_]
    patient: NDArray[np.object_]
    hit: NDArray[np.bool_]
    reachable: NDArray[np.bool_]
    random: FloatArray
    center: NDArray[np.bool_]
    iou: FloatArray
    iobb: FloatArray
    best: FloatArray
    empty: NDArray[np.bool_]


def score_localization(
    grad_cam: GradCam,
    read_image: Callable[[int], Tensor],
    pairs: Sequence[AnnotatedPair],
    labels: Sequence[str],
    *,
    replicates: int,
    seed: int,
) -> tuple[LocalizationResult, ...]:
    """Score how well maps find annotated boxes.

    Args:
        grad_cam: The network's Grad-CAM.
        read_image: Gives an image by its number, ``(1, S, S)`` uint8.
        pairs: Images and labels with boxes, ordered by image.
        labels: Labels in the order of the results.
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of its draws.

    Returns:
        One result per label that has a pair, then one for all of them; none without pairs.
    """
    if not pairs:
        return ()
    scores = _score_pairs(grad_cam, read_image, pairs)
    chosen = {label: scores.label == label for label in labels if (scores.label == label).any()}
    chosen[ALL_LABELS] = np.ones(len(pairs), dtype=bool)
    return tuple(_summarize(label, scores, rows, replicates, seed) for label, rows in chosen.items())


def _score_pairs(grad_cam: GradCam, read_image: Callable[[int], Tensor], pairs: Sequence[AnnotatedPair]) -> _PairScores:
    found: dict[str, list[object]] = {name: [] for name in _PairScores.__dataclass_fields__}
    rows = sorted({pair.row for pair in pairs})
    for start in range(0, len(rows), _BATCH_SIZE):
        batch = rows[start : start + _BATCH_SIZE]
        part = [pair for pair in pairs if pair.row in batch]
        images = torch.stack([read_image(row) for row in batch]).to(grad_cam.network.device)
        places = torch.tensor([batch.index(pair.row) for pair in part])
        maps = grad_cam.heatmaps_of_pairs(images, places, torch.tensor([pair.column for pair in part]))
        for pair, cells in zip(part, normalize(maps).numpy(), strict=True):
            for name, value in _score_pair(pair, cells, images.shape[-1]).items():
                found[name].append(value)
    texts = {"label", "patient"}
    return _PairScores(
        **{name: np.array(values, dtype=object if name in texts else None) for name, values in found.items()}
    )


def _score_pair(pair: AnnotatedPair, cells: NDArray[np.float32], size: int) -> Mapping[str, object]:
    centers = box_mask(pair.boxes, *cells.shape)
    iou, iobb = iou_and_iobb(cells, pair.boxes, size)
    return {
        "label": pair.label,
        "patient": pair.patient_id,
        "hit": pointing_game_hit(cells, pair.boxes),
        "reachable": bool(centers.any()),
        "random": float(centers.mean()),  # each cell is as likely as any other to be the hottest
        "center": bool(box_mask(pair.boxes, 1, 1)[0, 0]),
        "iou": iou,
        "iobb": iobb,
        "best": best_possible_iou(pair.boxes, len(cells), size),
        "empty": not bool((cells > 0).any()),
    }


def _summarize(
    label: str, pairs: _PairScores, chosen: NDArray[np.bool_], replicates: int, seed: int
) -> LocalizationResult:
    resampling = draw_patients(pairs.patient[chosen], replicates, seed)
    everyone = np.ones(int(chosen.sum()), dtype=bool)
    hit, random, center = pairs.hit[chosen], pairs.random[chosen], pairs.center[chosen]
    iou, iobb = pairs.iou[chosen], pairs.iobb[chosen]
    return LocalizationResult(
        label,
        images=int(chosen.sum()),
        hit_rate=proportion(hit, everyone, resampling),
        best_hit_rate=float(pairs.reachable[chosen].mean()),
        random_hit_rate=_mean(random, resampling),
        center_hit_rate=proportion(center, everyone, resampling),
        over_random=_mean(hit.astype(float) - random, resampling),
        over_center=_mean(hit.astype(float) - center, resampling),
        iou=_mean(iou, resampling),
        best_iou=float(pairs.best[chosen].mean()),
        iou_accuracy={threshold: float((iou >= threshold).mean()) for threshold in IOU_THRESHOLDS},
        iobb_accuracy={threshold: float((iobb >= threshold).mean()) for threshold in IOBB_THRESHOLDS},
        empty=int(pairs.empty[chosen].sum()),
    )


def _mean(values: FloatArray, resampling: Resampling) -> Estimate:
    """The mean over pairs with its interval; no interval where all are equal or of one patient: no draw would vary."""
    if resampling.num_patients < 2 or (values == values[0]).all():
        return Estimate(float(values.mean()))
    return estimate(float(values.mean()), resampling.sums(values) / resampling.sums(np.ones(len(values))))
