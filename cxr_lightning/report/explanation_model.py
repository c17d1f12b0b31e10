"""The types of metrics.json's part about heat maps: each key's type, meaning and bounds."""

from typing import Annotated

from pydantic import Field

from cxr_lightning.report.captions import GRADCAM_FOLDER
from cxr_lightning.report.json_model import DifferenceJson, EstimateJson, JsonModel
from cxr_lightning.utils.typed_values import NULL_IF_UNDEFINED, Count, Fraction, SignedFraction

FractionByThreshold = Annotated[
    dict[Annotated[str, Field(pattern=r"^[01](\.[0-9]+)?$")], Fraction],
    Field(json_schema_extra={"additionalProperties": False}),  # pydantic says `patternProperties`, which allows others
]
"""Fractions of maps by threshold, a number in [0, 1] as text."""


class LocalizationJson(JsonModel):
    """How well heat maps of one finding, or of all together, find annotated boxes."""

    label: str
    """The finding; `all` in the last entry is all of them together."""
    images: Count
    """With an annotated box of the finding; pairs of image and finding for `all`."""
    hit_rate: EstimateJson
    """Fraction of maps whose highest point is in a box (pointing game)."""
    best_hit_rate: Fraction
    """The highest possible at the map's resolution."""
    random_hit_rate: EstimateJson
    """What maps of random numbers of the same resolution are expected to have."""
    centre_hit_rate: EstimateJson
    """Of the image's center."""
    over_random: DifferenceJson
    """hit_rate minus random_hit_rate, paired."""
    over_centre: DifferenceJson
    """hit_rate minus centre_hit_rate, paired."""
    iou: EstimateJson
    """Mean intersection over union of the region above half of the map's maximum with the boxes."""
    best_iou: Fraction
    """What the map's resolution allows at best, mean."""
    iou_accuracy: FractionByThreshold
    """Fraction with at least this intersection over union, by threshold."""
    iobb_accuracy: FractionByThreshold
    """Fraction with at least this part of the region inside the boxes, by threshold."""
    empty: Count
    """Maps without positive evidence; they count as misses."""


class SanityJson(JsonModel):
    """Whether heat maps depend on what the network has learned, and whether hot pixels matter."""

    images: Count
    """Looked at."""
    similarity: dict[str, SignedFraction]
    """Rank correlation of maps with those after weights were randomized, by stage from the output on."""
    deletion: Fraction
    """Area under the mean probability while pixels are removed, the hottest first."""
    random_deletion: Fraction
    """The same in random order."""
    insertion: Fraction
    """Area under the mean probability while pixels are put back, the hottest first."""
    random_insertion: Fraction
    """The same in random order."""


class OverlayJson(JsonModel):
    """An image and its heat map of one finding."""

    image_id: str
    """The image's name."""
    label: str
    """The finding."""
    kind: str
    """Why it is shown."""
    probability: Fraction
    """Raw."""
    target: Annotated[Annotated[float, Field(ge=0, le=1, multiple_of=1)] | None, NULL_IF_UNDEFINED]
    """1 present, 0 absent, null unknown."""
    file: Annotated[str, Field(pattern=rf"^{GRADCAM_FOLDER}/[A-Za-z0-9_-]+\.png$")]
    """Relative to this file."""
    empty: bool
    """Whether nothing in the image speaks for the finding."""


class ExplanationJson(JsonModel):
    """The heat maps of an evaluation."""

    method: str
    """How they were computed."""
    chosen: str
    """Why these labels."""
    localisation: tuple[LocalizationJson, ...]
    """By finding, all together last. Empty where no evaluated image has boxes."""
    sanity: SanityJson | None
    """Null where no sanity checks were made."""
    gallery: tuple[OverlayJson, ...]
    """The images that are shown."""
