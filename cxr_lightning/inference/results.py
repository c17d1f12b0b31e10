"""Results of predicting images."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ValidationError

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
from cxr_lightning.inference.result_html import result_html, results_html
from cxr_lightning.utils.json_values import nan_to_null, null_to_nan, parse_json
from cxr_lightning.utils.paths import MAX_PATH_BYTES
from cxr_lightning.utils.typed_values import Fraction, Number, TypedValues, describe_errors

Status = Literal["ok", "warning", "rejected"]
_NUMBERS = ("probability", "calibrated", "threshold", "prevalence")


@dataclass(frozen=True)
class Finding:
    """Prediction of one finding in one image.

    Attributes:
        label: The finding.
        probability: Raw probability in [0, 1]; NaN if the model was not trained on the finding.
        calibrated: Calibrated probability; NaN if the model carries no calibration.
        threshold: Threshold of the operating point, on ``probability``; NaN if there is none.
        prevalence: Fraction of the training images with the finding; NaN if it is not known.
    """

    label: str
    probability: float
    calibrated: float = math.nan
    threshold: float = math.nan
    prevalence: float = math.nan

    @property
    def above(self) -> bool | None:
        """Whether the probability reaches the operating point; None if one of them is undefined."""
        return (
            None if math.isnan(self.threshold) or math.isnan(self.probability) else self.probability >= self.threshold
        )


@dataclass(frozen=True)
class Result:
    """Predictions of one image, or why it was rejected; in a notebook it shows a table beside the image.

    Attributes:
        path: The file; None for an image in memory.
        flags: Reasons why the image is suspicious or was rejected.
        findings: Findings in the model's order; empty if the image was rejected.
        rejected: Whether it is no usable image.
        name: The file, or the name of an image in memory, such as ``image 3`` by its position.
        operating_point: Name of the operating point whose thresholds the findings have; empty if there is none.
        synthetic: Whether the model was trained on synthetic images.
        image: The network's input, ``(S, S)`` uint8; None if the image was rejected, or is not kept.
    """

    path: Path | None
    flags: tuple[QualityFlag, ...] = ()
    findings: tuple[Finding, ...] = ()
    rejected: bool = False
    name: str = ""
    operating_point: str = field(default="", compare=False)
    synthetic: bool = field(default=False, compare=False)
    image: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", str(self.path))

    @classmethod
    def of_rejection(cls, path: Path | None, rejection: ImageRejectedError, name: str = "") -> "Result":
        """The result of what is no usable image."""
        flag = QualityFlag(rejection.code or "damaged", f"{rejection.reason}. {rejection.remedy}")
        return cls(path, (flag,), rejected=True, name=name)

    @property
    def status(self) -> Status:
        """``ok``, ``warning`` or ``rejected``."""
        return "rejected" if self.rejected else "warning" if self.flags else "ok"

    @property
    def probabilities(self) -> dict[str, float]:
        """Raw probabilities by label; NaN for those that the model was not trained on."""
        return {finding.label: finding.probability for finding in self.findings}

    @property
    def calibrated(self) -> dict[str, float]:
        """Calibrated probabilities by label; NaN where the model carries no calibration."""
        return {finding.label: finding.calibrated for finding in self.findings}

    @property
    def thresholds(self) -> dict[str, float]:
        """Thresholds of the operating point by label, on raw probabilities; NaN where there is none."""
        return {finding.label: finding.threshold for finding in self.findings}

    @property
    def above(self) -> tuple[Finding, ...]:
        """The findings that reach their operating points, the most probable first."""
        return tuple(sorted((f for f in self.findings if f.above), key=lambda finding: -finding.probability))

    @property
    def most_probable(self) -> Finding | None:
        """The finding with the highest probability; None if the file was rejected."""
        defined = [finding for finding in self.findings if not math.isnan(finding.probability)]
        return max(defined, key=lambda finding: finding.probability, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        findings = [{**asdict(finding), "above": finding.above} for finding in self.findings]
        return {
            "file": self.name,
            "status": self.status,
            "reasons": [{"code": flag.code, "words": flag.message} for flag in self.flags],
            "findings": [
                {name: nan_to_null(value) if isinstance(value, float) else value for name, value in finding.items()}
                for finding in findings
            ],
        }

    def _repr_html_(self) -> str:
        return result_html(self)


class Results(list[Result]):
    """The results of several images, in order; in a notebook they show themselves, the first ten in full.

    A part of them is made into a list that does so by ``Results(results[:5])``.
    """

    def _repr_html_(self) -> str:
        return results_html(self)


def _checked_path(path: object) -> str:
    """A path, which may hold characters of no encoding: pydantic's own text does not."""
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH_BYTES or "\0" in path:
        raise ValueError("expected a path")
    return path


class _StoredFlag(TypedValues):
    """A reason why a file is suspicious or was rejected."""

    code: str
    words: str


class _StoredFinding(TypedValues):
    """A prediction of one finding."""

    label: str
    probability: Fraction
    calibrated: Fraction
    threshold: Number
    prevalence: Fraction
    above: bool | None = None


class _StoredResult(TypedValues):
    """A line of results.jsonl."""

    file: Annotated[Any, AfterValidator(_checked_path)]
    status: Status
    reasons: list[_StoredFlag]
    findings: list[_StoredFinding]


def read_result(line: bytes) -> Result:
    """The inverse of :meth:`Result.to_json`.

    Args:
        line: JSON.

    Raises:
        ValueError: If it is something else; the message names the key.
    """
    try:
        stored = _StoredResult.model_validate(parse_json(line))
    except ValidationError as error:
        raise ValueError(f"in it, {describe_errors(error)}") from error
    findings = [
        Finding(finding.label, *(null_to_nan(getattr(finding, name)) for name in _NUMBERS))
        for finding in stored.findings
    ]
    flags = tuple(QualityFlag(reason.code, reason.words) for reason in stored.reasons)
    return Result(Path(stored.file), flags, tuple(findings), rejected=stored.status == "rejected")
