"""Results of predicting one file."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ValidationError

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
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
    """Predictions of one file, or why it was rejected.

    Attributes:
        path: The file.
        flags: Reasons why the file is suspicious or was rejected.
        findings: Findings in the model's order; empty if the file was rejected.
        rejected: Whether the file is no usable image.
    """

    path: Path
    flags: tuple[QualityFlag, ...] = ()
    findings: tuple[Finding, ...] = ()
    rejected: bool = False

    @classmethod
    def of_rejection(cls, path: Path, rejection: ImageRejectedError) -> "Result":
        """The result of a file that is no usable image."""
        return cls(
            path, (QualityFlag(rejection.code or "damaged", f"{rejection.reason}. {rejection.remedy}"),), (), True
        )

    @property
    def status(self) -> Status:
        """``ok``, ``warning`` or ``rejected``."""
        return "rejected" if self.rejected else "warning" if self.flags else "ok"

    @property
    def probabilities(self) -> dict[str, float]:
        """Raw probabilities by label; NaN for those that the model was not trained on."""
        return {finding.label: finding.probability for finding in self.findings}

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
            "file": str(self.path),
            "status": self.status,
            "reasons": [{"code": flag.code, "words": flag.message} for flag in self.flags],
            "findings": [
                {name: nan_to_null(value) if isinstance(value, float) else value for name, value in finding.items()}
                for finding in findings
            ],
        }


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
    return Result(Path(stored.file), flags, tuple(findings), stored.status == "rejected")
