"""What the models of metrics.json have in common: their base, and a number with its interval."""

from typing import Any

from pydantic import ConfigDict

from cxr_lightning.utils.typed_values import Count, Fraction, Number, SignedFraction, TypedValues


class JsonModel(TypedValues):
    """An object of metrics.json: all its keys, and no others."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)  # they are in the schema

    def plain_values(self) -> dict[str, Any]:
        """The object as types of JSON; an optional key that was not given is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class EstimateJson(JsonModel):
    """A number and its 95 % interval."""

    value: Fraction
    """The number, computed from all images."""
    low: Fraction
    """Lower end of the interval."""
    high: Fraction
    """Upper end of the interval."""


class MeanJson(EstimateJson):
    """A mean over the labels for which a number is defined, and its 95 % interval."""

    defined_labels: Count
    """Number of labels that the mean covers."""


class MetricJson(JsonModel):
    """A value of a further metric, and its 95 % interval; its ends are null where the metric has none."""

    value: Number
    """The metric's value, computed from all images."""
    low: Number
    """Lower end of the interval."""
    high: Number
    """Upper end of the interval."""


class MetricMeanJson(MetricJson):
    """A mean over the labels for which a further metric is defined, and its 95 % interval."""

    defined_labels: Count
    """Number of labels that the mean covers."""


class DifferenceJson(JsonModel):
    """A difference and its 95 % interval."""

    value: SignedFraction
    """The difference, computed from all images."""
    low: SignedFraction
    """Lower end of the interval."""
    high: SignedFraction
    """Upper end of the interval."""


class MeanDifferenceJson(DifferenceJson):
    """A difference of means over labels, and its 95 % interval."""

    defined_labels: Count
    """Number of labels that both means cover."""
