"""Results of explaining a network: overlays, localization scores and sanity checks, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.explain.heatmap_pictures import heatmap_picture
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.utils.coordinates import FractionalBox

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "true positive", "false positive", "false negative"
REQUESTED = "asked for"
"""Kinds of overlays: how the prediction compares with the target, or that the image was requested."""


@dataclass(frozen=True)
class Overlay:
    """An image and its heat map of one label.

    Attributes:
        image_id: The image's name.
        label: The label.
        kind: Why the image is shown: one of the kinds above.
        image: Pixels, ``(S, S)`` uint8.
        heatmap: Heat map with a maximum of 1, ``(S, S)`` float32; all 0 if there is no positive evidence.
        probability: Raw probability of the label.
        target: Target of the label: 1 present, 0 absent, NaN unknown.
        boxes: Annotated boxes of the label, in fractions of the image's sides.
        synthetic: Whether the model was trained on synthetic images.
    """

    image_id: str
    label: str
    kind: str
    image: NDArray[np.uint8] = field(repr=False)
    heatmap: NDArray[np.float32] = field(repr=False)
    probability: float
    target: float
    boxes: tuple[FractionalBox, ...] = ()
    synthetic: bool = False

    @property
    def empty(self) -> bool:
        """Whether the heat map has no positive evidence."""
        return not bool((self.heatmap > 0).any())

    @property
    def picture(self) -> Image.Image:
        """The image with its heat map over it, in RGB."""
        return heatmap_picture(self.image, self.heatmap)


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
        over_random: Hit rate minus that of random maps, paired.
        over_center: Hit rate minus that of the image's center, paired.
        iou: Mean intersection over union of the cells above half of the maximum with the boxes.
        best_iou: Mean of the highest intersection over union that the map's resolution allows.
        iou_accuracy: Fraction of maps with at least this intersection over union, by threshold.
        iobb_accuracy: Fraction of maps with at least this fraction of the region inside the boxes, by threshold.
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
        images: Number of images, all with positive evidence.
        similarity: Rank correlation of the maps before and after weights are randomized, by stage from the output on;
            1 would mean that the weights do not matter.
        deletion: Area under the probability while pixels are removed, the hottest first.
        random_deletion: Area under the probability while pixels are removed in random order.
        insertion: Area under the probability while pixels are inserted, the hottest first.
        random_insertion: Area under the probability while pixels are inserted in random order.
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
        split: Split on whose AUROC the labels were chosen: ``test``, ``val`` or ``train``.
        labels: Number of chosen labels.
        by_youden: Whether images are predicted positive from the operating point ``youden`` on rather than from 0.5.
        gallery: Overlays, grouped by label.
        localization: Scores by label, those of all labels together last; empty if no evaluated image has boxes.
        sanity: Sanity checks; None if they were not requested.
    """

    backbone: str
    target_layer: str
    split: str
    labels: int
    by_youden: bool
    gallery: tuple[Overlay, ...]
    localization: tuple[LocalizationResult, ...]
    sanity: SanityResult | None = None
