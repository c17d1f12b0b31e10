"""Gallery of a report: the choice of images and labels whose heat maps are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr_lightning.explain.heatmaps import OverlayRequest
from cxr_lightning.explain.localization import AnnotatedPair
from cxr_lightning.explain.results import FALSE_NEGATIVE, FALSE_POSITIVE, REQUESTED, TRUE_POSITIVE
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.models.postprocess import PostProcessing
from cxr_lightning.utils.coordinates import FractionalBox

_DEFAULT_THRESHOLD = 0.5
_OPERATING_POINT = "youden"


@dataclass(frozen=True)
class GalleryItem:
    """An image and a label whose heat map is shown.

    Attributes:
        row: The image's row in the predictions.
        label: The label.
        kind: Why it is shown, as in :class:`~cxr_lightning.explain.results.Overlay`.
    """

    row: int
    label: str
    kind: str


def choose_gallery(
    predictions: Predictions, labels: Sequence[str], postprocessing: PostProcessing | None
) -> list[GalleryItem]:
    """Choose each label's most confident true positive, false positive and false negative, where there are any.

    Images are predicted positive from the threshold of the operating point ``youden`` on, or from 0.5 without one.
    """
    choices = []
    for label in labels:
        column = predictions.labels.index(label)
        scores, targets = predictions.probabilities[:, column], predictions.targets[:, column]
        positive = scores >= _threshold(postprocessing, label)
        for kind, candidates, sign in (
            (TRUE_POSITIVE, positive & (targets == 1), 1),
            (FALSE_POSITIVE, positive & (targets == 0), 1),
            (FALSE_NEGATIVE, ~positive & (targets == 1), -1),
        ):
            rows = np.flatnonzero(candidates)
            if len(rows):
                choices.append(GalleryItem(int(rows[np.argmax(sign * scores[rows])]), label, kind))
    return choices


def choose_requested(predictions: Predictions, labels: Sequence[str], image_ids: Sequence[str]) -> list[GalleryItem]:
    """Choose the requested images, each with every label."""
    rows = {str(name): row for row, name in enumerate(predictions.image_ids)}
    return [GalleryItem(rows[name], label, REQUESTED) for name in image_ids for label in labels]


def uses_youden(postprocessing: PostProcessing | None) -> bool:
    """Whether the operating point ``youden`` is the threshold of any label's predicted positives."""
    return postprocessing is not None and any(
        _OPERATING_POINT in points for points in postprocessing.thresholds.values()
    )


def _threshold(postprocessing: PostProcessing | None, label: str) -> float:
    points = {} if postprocessing is None else postprocessing.thresholds.get(label, {})
    threshold = points.get(_OPERATING_POINT, _DEFAULT_THRESHOLD)
    return _DEFAULT_THRESHOLD if np.isnan(threshold) else threshold


def overlay_requests(
    predictions: Predictions, items: Sequence[GalleryItem], boxes: pd.DataFrame, model_labels: Sequence[str]
) -> list[OverlayRequest]:
    """What is needed to compute the heat maps of chosen images and labels.

    Args:
        predictions: Predictions of the evaluated images.
        items: Images and labels to show.
        boxes: Annotations, as in :class:`~cxr_lightning.data.manifest.Manifest`.
        model_labels: Labels of the network's outputs, in order.
    """
    requests = []
    for item in items:
        column = predictions.labels.index(item.label)
        image_id = str(predictions.image_ids[item.row])
        requests.append(
            OverlayRequest(
                item.row,
                list(model_labels).index(item.label),
                image_id,
                item.label,
                item.kind,
                float(predictions.probabilities[item.row, column]),
                float(predictions.targets[item.row, column]),
                select_boxes(boxes, image_id, item.label),
            )
        )
    return requests


def annotated_pairs(predictions: Predictions, boxes: pd.DataFrame, model_labels: Sequence[str]) -> list[AnnotatedPair]:
    """Pairs of an evaluated image and a label for which it has boxes, ordered by image, then label.

    Args:
        predictions: Predictions of the evaluated images.
        boxes: Annotations, as in :class:`~cxr_lightning.data.manifest.Manifest`.
        model_labels: Labels of the network's outputs, in order.
    """
    rows = {str(name): row for row, name in enumerate(predictions.image_ids)}
    labels = set(predictions.labels) - set(predictions.undefined_labels)
    annotated = boxes[boxes["image_id"].isin(rows.keys()) & boxes["label"].isin(labels)]
    pairs = sorted(
        {(rows[str(name)], str(label)) for name, label in zip(annotated["image_id"], annotated["label"], strict=True)}
    )
    return [
        AnnotatedPair(
            row,
            label,
            list(model_labels).index(label),
            str(predictions.patient_ids[row]),
            select_boxes(annotated, str(predictions.image_ids[row]), label),
        )
        for row, label in pairs
    ]


def select_boxes(boxes: pd.DataFrame, image_id: str, label: str) -> tuple[FractionalBox, ...]:
    """Select an image's boxes of one label, in fractions of its sides."""
    rows = boxes[(boxes["image_id"] == image_id) & (boxes["label"] == label)]
    return tuple(
        (float(x), float(y), float(w), float(h)) for x, y, w, h in rows[["x", "y", "width", "height"]].to_numpy()
    )
