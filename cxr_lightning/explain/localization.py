"""How well heat maps find annotated boxes: each pair of image and finding, then each finding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cxr_lightning.data.dataset import ChestXRayDataset
from cxr_lightning.explain.explanation import Localisation
from cxr_lightning.explain.grad_cam import GradCam, normalise
from cxr_lightning.explain.heatmaps import boxes_of
from cxr_lightning.inference.predictions import Predictions
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

ALL = "all"
_BATCH = 16


@dataclass(frozen=True)
class _Pairs:
    """What is known of each pair of image and finding with boxes: arrays of the same length."""

    label: NDArray[np.object_]
    patient: NDArray[np.object_]
    hit: NDArray[np.bool_]
    reachable: NDArray[np.bool_]
    random: FloatArray
    centre: NDArray[np.bool_]
    iou: FloatArray
    iobb: FloatArray
    best: FloatArray
    empty: NDArray[np.bool_]


def localise(
    camera: GradCam,
    dataset: ChestXRayDataset,
    predictions: Predictions,
    boxes: pd.DataFrame,
    *,
    replicates: int,
    seed: int,
) -> tuple[Localisation, ...]:
    """How well maps find the boxes of the evaluated images; nothing if there are none.

    Args:
        camera: Of the model that made the predictions.
        dataset: The evaluated images, in the predictions' order.
        predictions: Of them.
        boxes: Annotations.
        replicates: Of the bootstrap over patients.
        seed: Of its draws.
    """
    rows = {str(name): row for row, name in enumerate(predictions.image_ids)}
    known = boxes[boxes["image_id"].isin(rows.keys()) & boxes["label"].isin(predictions.labels)]
    wanted = sorted(
        {(rows[str(name)], str(label)) for name, label in zip(known["image_id"], known["label"], strict=True)}
    )
    if not wanted:
        return ()
    pairs = _measure(camera, dataset, predictions, wanted, known)
    labels = [label for label in predictions.labels if (pairs.label == label).any()]
    chosen = {label: pairs.label == label for label in labels} | {ALL: np.ones(len(wanted), dtype=bool)}
    return tuple(_summarize(label, pairs, rows_, replicates, seed) for label, rows_ in chosen.items())


def _measure(
    camera: GradCam,
    dataset: ChestXRayDataset,
    predictions: Predictions,
    wanted: Sequence[tuple[int, str]],
    boxes: pd.DataFrame,
) -> _Pairs:
    found: dict[str, list[object]] = {name: [] for name in _Pairs.__dataclass_fields__}
    rows = sorted({row for row, _ in wanted})
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        part = [(row, label) for row, label in wanted if row in batch]
        images = torch.stack([dataset[row]["image"] for row in batch]).to(camera.model.device)
        places = torch.tensor([batch.index(row) for row, _ in part])
        columns = torch.tensor([camera.model.labels.index(label) for _, label in part])
        maps = camera.pairs(images, places, columns)
        size = images.shape[-1]
        for (row, label), cells in zip(part, normalise(maps).numpy(), strict=True):
            truth = boxes_of(boxes, str(predictions.image_ids[row]), label)
            centres = box_mask(truth, *cells.shape)
            iou, iobb = iou_and_iobb(cells, truth, size)
            values: Mapping[str, object] = {
                "label": label,
                "patient": predictions.patient_ids[row],
                "hit": pointing_game_hit(cells, truth),
                "reachable": bool(centres.any()),
                "random": float(centres.mean()),  # each cell is as likely as any other to be the hottest
                "centre": bool(box_mask(truth, 1, 1)[0, 0]),
                "iou": iou,
                "iobb": iobb,
                "best": best_possible_iou(truth, len(cells), size),
                "empty": not bool((cells > 0).any()),
            }
            for name, value in values.items():
                found[name].append(value)
    texts = {"label", "patient"}
    return _Pairs(**{name: np.array(value, dtype=object if name in texts else None) for name, value in found.items()})


def _summarize(label: str, pairs: _Pairs, chosen: NDArray[np.bool_], replicates: int, seed: int) -> Localisation:
    resampling = draw_patients(pairs.patient[chosen], replicates, seed)
    everyone = np.ones(int(chosen.sum()), dtype=bool)
    hit, random, centre = pairs.hit[chosen], pairs.random[chosen], pairs.centre[chosen]
    iou, iobb = pairs.iou[chosen], pairs.iobb[chosen]
    return Localisation(
        label,
        images=int(chosen.sum()),
        hit_rate=proportion(hit, everyone, resampling),
        best_hit_rate=float(pairs.reachable[chosen].mean()),
        random_hit_rate=_mean(random, resampling),
        centre_hit_rate=proportion(centre, everyone, resampling),
        over_random=_mean(hit.astype(float) - random, resampling),
        over_centre=_mean(hit.astype(float) - centre, resampling),
        iou=_mean(iou, resampling),
        best_iou=float(pairs.best[chosen].mean()),
        iou_accuracy={threshold: float((iou >= threshold).mean()) for threshold in IOU_THRESHOLDS},
        iobb_accuracy={threshold: float((iobb >= threshold).mean()) for threshold in IOBB_THRESHOLDS},
        empty=int(pairs.empty[chosen].sum()),
    )


def _mean(values: FloatArray, resampling: Resampling) -> Estimate:
    """The mean over pairs with its interval; without one where all are equal or of one patient: no draw would vary."""
    if resampling.num_patients < 2 or (values == values[0]).all():
        return Estimate(float(values.mean()))
    return estimate(float(values.mean()), resampling.sums(values) / resampling.sums(np.ones(len(values))))
