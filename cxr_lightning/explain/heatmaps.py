"""Heat maps to look at: which images to show, and their maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.data.dataset import ChestXRayDataset
from cxr_lightning.evaluation.results import LabelResult
from cxr_lightning.explain.explanation import Box, Overlay
from cxr_lightning.explain.grad_cam import GradCam, TargetLayer, normalise, upsample
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import Fitted

_HALF = 0.5
_RULE = "youden"


@dataclass(frozen=True)
class Choice:
    """One picture to show.

    Attributes:
        row: Of the image in the predictions.
        label: The finding.
        kind: Why, as in :class:`~cxr_lightning.explain.explanation.Overlay`.
    """

    row: int
    label: str
    kind: str


def best_labels(results: Sequence[LabelResult], count: int) -> tuple[str, ...]:
    """The labels with the highest AUROC, best first; undefined ones never."""
    defined = [result for result in results if not np.isnan(result.auroc.value)]
    return tuple(result.label for result in sorted(defined, key=lambda result: -result.auroc.value)[:count])


def choose_gallery(predictions: Predictions, labels: Sequence[str], fitted: Fitted | None) -> list[Choice]:
    """For each label the most confident true positive, false positive and false negative, as far as there are any.

    An image is called positive from the threshold of the operating point ``youden`` on; from 0.5 where there is none.
    """
    choices = []
    for label in labels:
        column = predictions.labels.index(label)
        scores, targets = predictions.probabilities[:, column], predictions.targets[:, column]
        threshold = _HALF if fitted is None else fitted.thresholds.get(label, {}).get(_RULE, _HALF)
        called = scores >= (_HALF if np.isnan(threshold) else threshold)
        for kind, chosen, sign in (
            ("true positive", called & (targets == 1), 1),
            ("false positive", called & (targets == 0), 1),
            ("false negative", ~called & (targets == 1), -1),
        ):
            rows = np.flatnonzero(chosen)
            if len(rows):
                choices.append(Choice(int(rows[np.argmax(sign * scores[rows])]), label, kind))
    return choices


def draw_overlays(
    camera: GradCam,
    dataset: ChestXRayDataset,
    predictions: Predictions,
    choices: Sequence[Choice],
    boxes: pd.DataFrame,
) -> tuple[Overlay, ...]:
    """The chosen pictures with their heat maps.

    Args:
        camera: Of the model that made the predictions.
        dataset: The evaluated images, in the predictions' order.
        predictions: Of them.
        choices: What to show.
        boxes: Annotations, as in :class:`~cxr_lightning.data.manifest.Manifest`.
    """
    overlays = []
    for choice in choices:
        image = dataset[choice.row]["image"]
        heatmap = image_heatmaps(camera, image[None], [camera.model.labels.index(choice.label)])[0, 0]
        column = predictions.labels.index(choice.label)
        name = str(predictions.image_ids[choice.row])
        overlays.append(
            Overlay(
                name,
                choice.label,
                choice.kind,
                image[0].numpy(),
                heatmap.numpy(),
                float(predictions.probabilities[choice.row, column]),
                float(predictions.targets[choice.row, column]),
                boxes_of(boxes, name, choice.label),
            )
        )
    return tuple(overlays)


def explain_image(
    model: ChestXRayClassifier,
    name: str,
    pixels: NDArray[np.uint8],
    labels: Sequence[str],
    target_layer: TargetLayer = "post_relu",
) -> tuple[Overlay, ...]:
    """Heat maps of one image.

    Args:
        model: On any device.
        name: Of the image, to be shown.
        pixels: ``(S, S)``, in the model's size.
        labels: Findings among the model's.
        target_layer: See :class:`~cxr_lightning.explain.grad_cam.GradCam`.

    Raises:
        ValueError: If a finding is not among the model's.
    """
    if unknown := [label for label in labels if label not in model.labels]:
        raise ValueError(
            f"Expected labels among the model's, {list(model.labels)}, but got {unknown}. Correct the names."
        )
    columns = [model.labels.index(label) for label in labels]
    image = torch.from_numpy(pixels.copy())[None, None]
    maps = image_heatmaps(GradCam(model.eval(), target_layer), image, columns)[0]
    with torch.no_grad():
        probabilities = model(image.to(model.device)).float().sigmoid()[0].cpu()
    return tuple(
        Overlay(name, label, "asked for", pixels, heatmap.numpy(), float(probabilities[column]), float("nan"))
        for label, column, heatmap in zip(labels, columns, maps, strict=True)
    )


def image_heatmaps(camera: GradCam, images: Tensor, labels: Sequence[int]) -> Tensor:
    """Normalised maps at the images' resolution, ``(B, L, S, S)``.

    Args:
        camera: Of the model.
        images: ``(B, 1, S, S)`` uint8.
        labels: Columns of the model's logits.
    """
    maps = camera.heatmaps(images.to(camera.model.device), labels)
    return normalise(upsample(maps.flatten(0, 1), images.shape[-1])).reshape(*maps.shape[:2], *images.shape[-2:])


def boxes_of(boxes: pd.DataFrame, image_id: str, label: str) -> tuple[Box, ...]:
    """An image's boxes of one finding."""
    rows = boxes[(boxes["image_id"] == image_id) & (boxes["label"] == label)]
    return tuple(
        (float(x), float(y), float(w), float(h)) for x, y, w, h in rows[["x", "y", "width", "height"]].to_numpy()
    )
