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
    """Name of the finding; in the last entry `all`, for all findings together."""
    images: Count
    """Number of images with an annotated box of the finding; for `all`, of pairs of image and finding."""
    hit_rate: EstimateJson
    """Fraction of maps whose highest point is in a box (pointing game)."""
    best_hit_rate: Fraction
    """Highest hit rate that the map's resolution allows."""
    random_hit_rate: EstimateJson
    """Expected hit rate of maps of random numbers of the same resolution."""
    centre_hit_rate: EstimateJson
    """Hit rate of the image's center as the highest point."""
    over_random: DifferenceJson
    """Hit rate of the maps minus that of random maps, paired."""
    over_centre: DifferenceJson
    """Hit rate of the maps minus that of the image's center, paired."""
    iou: EstimateJson
    """Mean intersection over union of the region above half of the map's maximum with the boxes."""
    best_iou: Fraction
    """Mean of the highest intersection over union that the map's resolution allows."""
    iou_accuracy: FractionByThreshold
    """Fraction of maps with at least this intersection over union, by threshold."""
    iobb_accuracy: FractionByThreshold
    """Fraction of maps with at least this fraction of the region inside the boxes, by threshold."""
    empty: Count
    """Number of maps without positive evidence; they count as misses."""


class SanityJson(JsonModel):
    """Whether heat maps depend on what the network has learned, and whether hot pixels matter."""

    images: Count
    """Number of images of the sanity checks, all with positive evidence."""
    similarity: dict[str, SignedFraction]
    """Rank correlation of the maps before and after weights are randomized, by stage from the output on."""
    deletion: Fraction
    """Area under the mean probability while pixels are removed, the hottest first."""
    random_deletion: Fraction
    """Area under the mean probability while pixels are removed in random order."""
    insertion: Fraction
    """Area under the mean probability while pixels are put back, the hottest first."""
    random_insertion: Fraction
    """Area under the mean probability while pixels are put back in random order."""


class OverlayJson(JsonModel):
    """An image and its heat map of one finding."""

    image_id: str
    """Name of the image."""
    label: str
    """Name of the finding."""
    kind: str
    """Why the image is shown, such as true positive."""
    probability: Fraction
    """Raw probability of the finding."""
    target: Annotated[Annotated[float, Field(ge=0, le=1, multiple_of=1)] | None, NULL_IF_UNDEFINED]
    """Target of the finding: 1 present, 0 absent, null unknown."""
    file: Annotated[str, Field(pattern=rf"^{GRADCAM_FOLDER}/[A-Za-z0-9_-]+\.png$")]
    """Path of the picture, relative to the folder of metrics.json."""
    empty: bool
    """Whether nothing in the image speaks for the finding."""


class ExplanationJson(JsonModel):
    """The heat maps of an evaluation."""

    method: str
    """How the heat maps were computed."""
    chosen: str
    """Why heat maps of these labels are shown."""
    localisation: tuple[LocalizationJson, ...]
    """Localization scores by finding, those of all together last; empty where no evaluated image has boxes."""
    sanity: SanityJson | None
    """Sanity checks of the heat maps; null where none were made."""
    gallery: tuple[OverlayJson, ...]
    """Images that are shown with their heat maps."""
