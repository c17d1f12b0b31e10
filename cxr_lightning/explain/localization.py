"""Localization scores of heat maps against annotated boxes, by label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam, normalize
from cxr_lightning.explain.results import LocalizationResult
from cxr_lightning.metrics.bootstrap import Estimate, Resampling, draw_patients, estimate, proportion
from cxr_lightning.metrics.localization import (
    IOBB_THRESHOLDS,
    IOU_THRESHOLDS,
    best_possible_iou,
    box_mask,
    iou_and_iobb,
    pointing_game_hit,
)
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.coordinates import FractionalBox

ALL_LABELS = "all"
"""Label of the result for all labels together."""

_BATCH_SIZE = 16


@dataclass(frozen=True)
class AnnotatedPair:
    """An image and a label for which it has boxes.

    Attributes:
        row: The image's row in the predictions.
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
    """Scores of pairs of image and label, as arrays of the same length."""

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
    """Score how well heat maps find annotated boxes.

    Args:
        grad_cam: The network's Grad-CAM.
        read_image: Function that returns an image by its row, ``(1, S, S)`` uint8.
        pairs: Images and labels with boxes, ordered by image.
        labels: Labels in the order of the results.
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of the bootstrap.

    Returns:
        One result per label that has a pair, then one for all labels together; empty without pairs.
    """
    if not pairs:
        return ()
    scores = _score_pairs(grad_cam, read_image, pairs)
    members = {label: scores.label == label for label in labels if (scores.label == label).any()}
    members[ALL_LABELS] = np.ones(len(pairs), dtype=bool)
    return tuple(_summarize(label, scores, rows, replicates, seed) for label, rows in members.items())


def _score_pairs(grad_cam: GradCam, read_image: Callable[[int], Tensor], pairs: Sequence[AnnotatedPair]) -> _PairScores:
    scores: dict[str, list[object]] = {name: [] for name in _PairScores.__dataclass_fields__}
    rows = sorted({pair.row for pair in pairs})
    for start in range(0, len(rows), _BATCH_SIZE):
        batch = rows[start : start + _BATCH_SIZE]
        batch_pairs = [pair for pair in pairs if pair.row in batch]
        images = torch.stack([read_image(row) for row in batch]).to(grad_cam.network.device)
        image_index = torch.tensor([batch.index(pair.row) for pair in batch_pairs])
        maps = grad_cam.heatmaps_of_pairs(images, image_index, torch.tensor([pair.column for pair in batch_pairs]))
        for pair, cells in zip(batch_pairs, normalize(maps).numpy(), strict=True):
            for name, value in _score_pair(pair, cells, images.shape[-1]).items():
                scores[name].append(value)
    text_fields = {"label", "patient"}
    return _PairScores(
        **{name: np.array(values, dtype=object if name in text_fields else None) for name, values in scores.items()}
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
    all_pairs = np.ones(int(chosen.sum()), dtype=bool)
    hit, random, center = pairs.hit[chosen], pairs.random[chosen], pairs.center[chosen]
    iou, iobb = pairs.iou[chosen], pairs.iobb[chosen]
    return LocalizationResult(
        label,
        images=int(chosen.sum()),
        hit_rate=proportion(hit, all_pairs, resampling),
        best_hit_rate=float(pairs.reachable[chosen].mean()),
        random_hit_rate=_mean(random, resampling),
        center_hit_rate=proportion(center, all_pairs, resampling),
        over_random=_mean(hit.astype(float) - random, resampling),
        over_center=_mean(hit.astype(float) - center, resampling),
        iou=_mean(iou, resampling),
        best_iou=float(pairs.best[chosen].mean()),
        iou_accuracy={threshold: float((iou >= threshold).mean()) for threshold in IOU_THRESHOLDS},
        iobb_accuracy={threshold: float((iobb >= threshold).mean()) for threshold in IOBB_THRESHOLDS},
        empty=int(pairs.empty[chosen].sum()),
    )


def _mean(values: FloatArray, resampling: Resampling) -> Estimate:
    """Mean over pairs, without an interval if all values are equal or of one patient: draws would not vary."""
    if resampling.num_patients < 2 or (values == values[0]).all():
        return Estimate(float(values.mean()))
    return estimate(float(values.mean()), resampling.sums(values) / resampling.sums(np.ones(len(values))))
