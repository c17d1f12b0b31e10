"""What a report shows of heat maps: pictures to look at, and how well they find annotated boxes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.resampling import Estimate

Box = tuple[float, float, float, float]
"""``x``, ``y``, ``width`` and ``height`` as fractions of the image's sides, from its upper left corner."""


@dataclass(frozen=True)
class Overlay:
    """One image, and where the model looked for one label.

    Attributes:
        image_id: Its name.
        label: The finding.
        kind: Why it is shown: ``true positive``, ``false positive``, ``false negative`` or ``asked for``.
        image: ``(S, S)`` uint8.
        heatmap: ``(S, S)`` float32 in [0, 1], its maximum 1; all 0 where there is no positive evidence.
        probability: Of the finding, raw.
        target: 1 present, 0 absent, NaN unknown.
        boxes: Annotated for this finding.
    """

    image_id: str
    label: str
    kind: str
    image: NDArray[np.uint8]
    heatmap: NDArray[np.float32]
    probability: float
    target: float
    boxes: tuple[Box, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing in the image speaks for the finding."""
        return not bool((self.heatmap > 0).any())


@dataclass(frozen=True)
class Localisation:
    """How well heat maps of one label, or of all, find annotated boxes.

    Attributes:
        label: The finding; ``all`` for all of them together.
        images: With a box of it (pairs of image and finding for ``all``).
        hit_rate: Share whose highest point is in a box (pointing game).
        best_hit_rate: The highest possible at the map's resolution: share of images where a cell's centre is in a box.
        random_hit_rate: What maps of random numbers of the same resolution are expected to have.
        centre_hit_rate: Of the image's centre, the same point for all.
        over_random: Hit rate minus the random one's, paired.
        over_centre: Hit rate minus the centre's, paired.
        iou: Mean intersection over union of the cells above half of the maximum with the boxes.
        best_iou: The mean of what the map's resolution allows at best.
        iou_accuracy: Share with at least this intersection over union, by threshold.
        iobb_accuracy: Share with at least this part of the region inside the boxes, by threshold.
        empty: Maps without positive evidence; they count as misses.
    """

    label: str
    images: int
    hit_rate: Estimate
    best_hit_rate: float
    random_hit_rate: Estimate
    centre_hit_rate: Estimate
    over_random: Estimate
    over_centre: Estimate
    iou: Estimate
    best_iou: float
    iou_accuracy: Mapping[float, float]
    iobb_accuracy: Mapping[float, float]
    empty: int


@dataclass(frozen=True)
class Sanity:
    """Whether heat maps depend on what the model has learned: Adebayo's randomisation, deletion and insertion.

    Attributes:
        images: Looked at; those with positive evidence.
        similarity: Rank correlation of the maps with those after weights were randomised, by stage from the output on;
            1 would say that the weights do not matter.
        deletion: Mean probability left while pixels are removed, the hottest first; area under the curve.
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
    """Heat maps in a report.

    Attributes:
        method: In words, with the target layer.
        chosen: Why these labels, in words.
        gallery: Pictures, those of a label together.
        localisation: By label, the row ``all`` last; empty where no evaluated image has boxes.
        sanity: None where it was not asked for.
    """

    method: str
    chosen: str
    gallery: tuple[Overlay, ...]
    localisation: tuple[Localisation, ...]
    sanity: Sanity | None = None
