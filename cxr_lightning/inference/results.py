"""What a model says of one file."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.quality_flags import QualityFlag

Status = Literal["ok", "warning", "rejected"]
_NUMBERS = ("probability", "calibrated", "threshold", "prevalence")


@dataclass(frozen=True)
class Finding:
    """What a model says of one finding in one image.

    Attributes:
        label: The finding.
        probability: As the network gives it, in [0, 1].
        calibrated: As often as it was right on validation images; NaN if the model carries no calibration.
        threshold: Of the operating point, on ``probability``; NaN if there is none.
        prevalence: Share of the training images with the finding; NaN if it is not known.
    """

    label: str
    probability: float
    calibrated: float = math.nan
    threshold: float = math.nan
    prevalence: float = math.nan

    @property
    def above(self) -> bool | None:
        """Whether the probability reaches the operating point; None if there is none."""
        return None if math.isnan(self.threshold) else self.probability >= self.threshold


@dataclass(frozen=True)
class Result:
    """What became of one file.

    Attributes:
        path: The file.
        remarks: Why it is suspicious or was rejected.
        findings: In the model's order; empty if it was rejected.
        rejected: Whether the model was not asked.
    """

    path: Path
    remarks: tuple[QualityFlag, ...] = ()
    findings: tuple[Finding, ...] = ()
    rejected: bool = False

    @classmethod
    def of_rejection(cls, path: Path, rejection: ImageRejectedError) -> "Result":
        """Of a file that is no usable image."""
        return cls(
            path, (QualityFlag(rejection.code or "damaged", f"{rejection.reason}. {rejection.remedy}"),), (), True
        )

    @property
    def status(self) -> Status:
        """``ok``, ``warning`` or ``rejected``."""
        return "rejected" if self.rejected else "warning" if self.remarks else "ok"

    @property
    def probabilities(self) -> dict[str, float]:
        """By label."""
        return {finding.label: finding.probability for finding in self.findings}

    @property
    def above(self) -> tuple[Finding, ...]:
        """The findings that reach their operating points, the most probable first."""
        return tuple(sorted((f for f in self.findings if f.above), key=lambda finding: -finding.probability))

    def record(self) -> dict[str, Any]:
        """Plain values, for JSON; what is not defined is None."""
        findings = [{**asdict(finding), "above": finding.above} for finding in self.findings]
        return {
            "file": str(self.path),
            "status": self.status,
            "reasons": [{"code": remark.code, "words": remark.message} for remark in self.remarks],
            "findings": [
                {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in one.items()}
                for one in findings
            ],
        }


def result_of(record: Mapping[str, Any]) -> Result:
    """The inverse of :meth:`Result.record`.

    Raises:
        KeyError, TypeError: If it is not one.
    """
    findings = [
        Finding(
            str(one["label"]),
            *(math.nan if one[name] is None else float(one[name]) for name in _NUMBERS),
        )
        for one in record["findings"]
    ]
    remarks = tuple(QualityFlag(str(one["code"]), str(one["words"])) for one in record["reasons"])
    return Result(Path(record["file"]), remarks, tuple(findings), record["status"] == "rejected")
