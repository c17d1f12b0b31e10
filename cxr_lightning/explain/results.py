"""Results of explaining a network: pictures to look at, localization scores and sanity checks. Numbers only."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.resampling import Estimate
from cxr_lightning.utils.coordinates import FractionalBox

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "true positive", "false positive", "false negative"
REQUESTED = "asked for"
"""Kinds of pictures: how a prediction compares with its target, or that the image was requested."""


@dataclass(frozen=True)
class Overlay:
    """One image and the heat map of one label.

    Attributes:
        image_id: The image's name.
        label: The label.
        kind: Why the picture is shown: one of the kinds above.
        image: ``(S, S)`` uint8.
        heatmap: ``(S, S)`` float32 in [0, 1], its maximum 1; all 0 where there is no positive evidence.
        probability: Raw probability of the label.
        target: 1 present, 0 absent, NaN unknown.
        boxes: Boxes that are annotated for this label, in fractions of the image's sides.
    """

    image_id: str
    label: str
    kind: str
    image: NDArray[np.uint8]
    heatmap: NDArray[np.float32]
    probability: float
    target: float
    boxes: tuple[FractionalBox, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is no positive evidence for the label in the image."""
        return not bool((self.heatmap > 0).any())


@dataclass(frozen=True)
class LocalizationResult:
    """How well heat maps of one label, or of all labels together, find annotated boxes.

    Attributes:
        label: The label; ``all`` for all of them together.
        images: Number of images with a box of the label (of pairs of image and label for ``all``).
        hit_rate: Fraction of maps whose highest point is in a box (pointing game).
        best_hit_rate: Highest possible hit rate at the map's resolution: fraction of images where a cell's center is
            in a box.
        random_hit_rate: Expected hit rate of maps of random numbers of the same resolution.
        center_hit_rate: Hit rate of the image's center.
        over_random: Hit rate minus the random one, paired.
        over_center: Hit rate minus the center's, paired.
        iou: Mean intersection over union of the cells above half of the maximum with the boxes.
        best_iou: Mean of the highest intersection over union that the map's resolution allows.
        iou_accuracy: Fraction of maps with at least this intersection over union, by threshold.
        iobb_accuracy: Fraction of maps with at least this part of the region inside the boxes, by threshold.
        empty: Number of maps without positive evidence; they count as misses.
    """

    label: str
    images: int
    hit_rate: Estimate
    best_hit_rate: float
    random_hit_rate: Estimate
    center_hit_rate: Estimate
    over_random: Estimate
    over_center: Estimate
    iou: Estimate
    best_iou: float
    iou_accuracy: Mapping[float, float]
    iobb_accuracy: Mapping[float, float]
    empty: int


@dataclass(frozen=True)
class SanityResult:
    """Whether heat maps depend on what the network has learned: Adebayo's randomization, deletion and insertion.

    Attributes:
        images: Number of images; those with positive evidence.
        similarity: Rank correlation of the maps with those after weights were randomized, by stage from the output on;
            1 would say that the weights do not matter.
        deletion: Mean probability while pixels are removed, the hottest first; area under the curve.
        random_deletion: The same in random order.
        insertion: Mean probability while pixels are put back, the hottest first; area under the curve.
        random_insertion: The same in random order.
    """

    images: int
    similarity: Mapping[str, float]
    deletion: float
    random_deletion: float
    insertion: float
    random_insertion: float


@dataclass(frozen=True)
class Explanation:
    """The heat maps of an evaluation.

    Attributes:
        backbone: Name of the network's backbone.
        target_layer: Layer whose maps are shown, ``post_relu`` or ``pre_relu``.
        split: Split whose AUROC chose the labels: ``test``, ``val`` or ``train``.
        labels: Number of labels that were chosen.
        by_youden: Whether predicted positives are those from the operating point ``youden`` on, else from 0.5.
        gallery: Pictures, those of a label together.
        localization: Scores by label, those of all together last; empty where no evaluated image has boxes.
        sanity: Sanity checks; None where they were not requested.
    """

    backbone: str
    target_layer: str
    split: str
    labels: int
    by_youden: bool
    gallery: tuple[Overlay, ...]
    localization: tuple[LocalizationResult, ...]
    sanity: SanityResult | None = None
