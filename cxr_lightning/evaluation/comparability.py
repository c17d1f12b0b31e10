"""Whether an evaluation may be compared with published results on NIH's official split."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxr_lightning.data.manifest import names_sha256
from cxr_lightning.data.record import recorded_settings
from cxr_lightning.evaluation.statements import Statement, statement
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.labels import NIH_LABELS

OFFICIAL_TEST_IMAGES = 25_596
"""Number of images in NIH's test_list.txt."""

OFFICIAL_TEST_SHA256 = "3d0c44b68d287fd04f90c4f25df13428bba7b3e729f65715d5cf73a88e83d226"
"""sha256 of the sorted image names in NIH's test_list.txt, one per line."""

OFFICIAL_TARGETS_SHA256 = "3f881d2afe73766ca031ae735631c38d8411a1896e41f53d8373d73f5d9987ed"
"""sha256 of these images' v2020 targets: sorted lines of name, colon and 14 digits in NIH_LABELS' order."""

OFFICIAL_LISTS = {
    "test_list.txt": (
        "ec8dbe9e6cd99adede643161f39612ec944ffe805fb89c3753998a83b308f0c6",
        "4ae872aeda1545e95f440f2e5dffea7d4facf74ad04c202040b2ac437769ec55",
        "7caebd14b35472c8dc16cecdcb5d1215c95d0681515be7f113ae86e1ebd9bf11",
        "cb43c0bca94bcbe0c370a52fd9dbe81b49f7365b3ad60c8637e4a88e9122934c",
    ),
    "train_val_list.txt": (
        "7e893ebd7ee53556b99eb482085d8cc96d30e1c7b9916f530ac0e0f59d3f6388",
        "e2abb51704b88ad23771230435ad210fd03c22abccf44e3b24400e4963a06d36",
        "c00e9a2754e230a8fb5d06a1fd89220ecc3ba9ec3f6511d4d9a62577d66c329f",
        "d00d4f6a7d2fdc28605771c6f85028119fb35e755cabf21eb8e87e1e2b932dd3",
    ),
}
"""sha256 of NIH's list files, with Unix or Windows line ends, and with or without one after the last line."""


@dataclass(frozen=True)
class PredictionSource:
    """Source of predictions.

    Attributes:
        name: Name of the checkpoint or predictions file.
        metadata: The checkpoint's metadata; None for predictions from elsewhere.
    """

    name: str
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Criterion:
    """One condition of comparability.

    Attributes:
        code: The condition, such as ``all_views``.
        met: Whether it is met; None where that cannot be determined.
        detail: What was found.
    """

    code: str
    met: bool | None
    detail: Statement


@dataclass(frozen=True)
class Comparability:
    """Conditions under which an evaluation may be compared with published results on NIH's official split.

    Attributes:
        criteria: The conditions.
    """

    criteria: tuple[Criterion, ...]

    @property
    def comparable(self) -> bool | None:
        """True if every criterion is met, False if one is not, None if one cannot be determined."""
        met = [criterion.met for criterion in self.criteria]
        return False if False in met else (None if None in met else True)

    @property
    def unmet(self) -> tuple[Criterion, ...]:
        """The criteria that are not met or cannot be determined."""
        return tuple(criterion for criterion in self.criteria if criterion.met is not True)


def check_comparability(
    predictions: Predictions, data: Mapping[str, Any], source: PredictionSource, *, split: str, missing: int
) -> Comparability:
    """Check the conditions under which published results on NIH's official split may be shown.

    Args:
        predictions: Predictions of the evaluated images.
        data: Record of the data that was evaluated.
        source: Source of the predictions.
        split: ``test``, ``val`` or ``train``.
        missing: Number of images of the split without a prediction.
    """
    views = data["settings"]["views"]
    criteria = (
        Criterion("real_images", not data["synthetic"], statement("synthetic" if data["synthetic"] else "real")),
        _official_test_list(predictions, split, missing),
        _official_labels(predictions, data),
        Criterion("all_views", views is None, statement("views", views=views)),
        _all_findings(predictions),
        _untouched_test(source.metadata),
    )
    return Comparability(criteria)


def _official_test_list(predictions: Predictions, split: str, missing: int) -> Criterion:
    code = "official_test_list"
    if split != "test":
        return Criterion(code, False, statement("other_split", split=split))
    images = pd.Series(predictions.image_ids.astype(str))
    counts = {"images": len(images), "official": OFFICIAL_TEST_IMAGES}
    if names_sha256(images) == OFFICIAL_TEST_SHA256:
        return Criterion(code, True, statement("official_list_complete", **counts))
    if missing:
        return Criterion(code, False, statement("official_list_missing", missing=missing, **counts))
    return Criterion(code, False, statement("official_list_other", **counts))


def _official_labels(predictions: Predictions, data: Mapping[str, Any]) -> Criterion:
    """Check that the targets are NIH's; only those of the v2020 edition can be recognized."""
    code = "official_labels"
    if names_sha256(pd.Series(predictions.image_ids.astype(str))) != OFFICIAL_TEST_SHA256:
        return Criterion(code, None, statement("labels_not_checked"))
    if targets_sha256(predictions) == OFFICIAL_TARGETS_SHA256:
        return Criterion(code, True, statement("labels_v2020"))
    if data["source"] == "nih" and "Data_Entry_2017.csv" in data["files"]:
        return Criterion(code, None, statement("labels_2017"))
    return Criterion(code, False, statement("labels_differ"))


def targets_sha256(predictions: Predictions) -> str | None:
    """sha256 of the targets of the 14 findings, for any order of images and findings; None if a finding is missing."""
    if not set(NIH_LABELS) <= set(predictions.labels):
        return None
    digits = np.where(np.isnan(predictions.targets), "?", np.where(predictions.targets == 1, "1", "0"))
    columns = [digits[:, predictions.labels.index(label)] for label in NIH_LABELS]
    rows = ("".join(row) for row in zip(*columns, strict=True))
    lines = sorted(f"{image}:{row}\n" for image, row in zip(predictions.image_ids, rows, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _all_findings(predictions: Predictions) -> Criterion:
    missing = sorted(set(NIH_LABELS) - set(predictions.labels))
    other = sorted(set(predictions.labels) - set(NIH_LABELS))
    return Criterion("all_findings", not (missing or other), statement("findings", absent=missing, other=other))


def _untouched_test(metadata: Mapping[str, Any] | None) -> Criterion:
    """Check that the test images were used neither for training nor for selection."""
    code = "untouched_test"
    if metadata is None:
        return Criterion(code, None, statement("predictions_unknown"))
    data, weights = metadata.get("data"), metadata.get("initial_weights", "unknown")
    if data is None:
        return Criterion(code, None, statement("weights_unknown"))
    if weights not in (None, "imagenet"):
        return Criterion(code, None, statement("initial_weights_unknown", weights=weights))
    if data["synthetic"]:
        return Criterion(code, True, statement("trained_on_synthetic"))
    split = recorded_settings(data)["split"]
    if data["source"] == "nih" and split != "official":
        return Criterion(code, False, statement("trained_on_other_split", split=split))
    if data["source"] == "nih" and _has_official_lists(data):
        return Criterion(code, True, statement("trained_on_official"))
    if data["source"] == "nih":
        return Criterion(code, None, statement("lists_not_official"))
    return Criterion(code, None, statement("source_unknown", source=data["source"]))


def _has_official_lists(data: Mapping[str, Any]) -> bool:
    """Whether training used NIH's lists, recognized by their bytes or by the names in the test split."""
    if data["splits"].get("test", {}).get("sha256") == OFFICIAL_TEST_SHA256:
        return True
    return all(data["files"].get(name) in hashes for name, hashes in OFFICIAL_LISTS.items())
