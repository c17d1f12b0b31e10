"""How numbers came about, and whether they may be put beside published ones."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxr_lightning.data.manifest import names_sha256
from cxr_lightning.evaluation.results import Criterion, Protocol
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.labels import NIH_LABELS

OFFICIAL_TEST_IMAGES = 25_596
OFFICIAL_TEST_SHA256 = "3d0c44b68d287fd04f90c4f25df13428bba7b3e729f65715d5cf73a88e83d226"
"""Of the sorted names in NIH's test_list.txt, one a line."""

OFFICIAL_TARGETS_SHA256 = "3f881d2afe73766ca031ae735631c38d8411a1896e41f53d8373d73f5d9987ed"
"""Of the v2020 edition's targets of these images: sorted lines of name, colon and 14 digits in NIH_LABELS' order."""

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
"""sha256 of NIH's list files: lines ended as on Unix or Windows, the last one ended or not."""

_ALL_VIEWS = "all"


@dataclass(frozen=True)
class Origin:
    """Where predictions come from.

    Attributes:
        subject: Such as a file's name.
        record: A checkpoint's record; None for predictions from elsewhere.
    """

    subject: str
    record: Mapping[str, Any] | None = None


def state_protocol(
    predictions: Predictions,
    data: Mapping[str, Any],
    origin: Origin,
    *,
    split: str,
    missing: int,
    fitted_on: str | None,
) -> Protocol:
    """The facts, and the conditions under which published results on NIH's official split may be shown.

    Args:
        predictions: Of the evaluated images.
        data: Record of the data that was evaluated.
        origin: What made the predictions.
        split: ``test``, ``val`` or ``train``.
        missing: Images of the split without a prediction.
        fitted_on: What calibration and thresholds were fitted on; None if nothing was.
    """
    settings = data["settings"]
    views = _ALL_VIEWS if settings["views"] is None else ", ".join(settings["views"])
    facts = {
        "predictions": origin.subject,
        "data": f"{data['source']}, {'synthetic' if data['synthetic'] else 'real'}"
        + (", a subset" if data["subset"] else ""),
        "split": f"{split} (data.split={settings['split']}, data.seed={settings['seed']})",
        "label files": ", ".join(f"{name} (sha256 {sha[:12]})" for name, sha in data["files"].items()),
        "views": views,
        "images": _image_words(predictions, data, missing),
        "training data": _training_words(origin.record),
        "selection": _selection_words(origin.record),
        "calibration and thresholds": f"fitted on {fitted_on}" if fitted_on else "none fitted",
    }
    criteria = (
        Criterion("real images", not data["synthetic"], "synthetic images" if data["synthetic"] else "real images"),
        _official_list(predictions, split, missing),
        _official_labels(predictions, data),
        Criterion("all views", settings["views"] is None, f"views: {views}"),
        _all_findings(predictions),
        _untouched_test(origin.record),
    )
    return Protocol(facts, criteria)


def _image_words(predictions: Predictions, data: Mapping[str, Any], missing: int) -> str:
    words = [f"{len(predictions.image_ids):,} of {len(set(predictions.patient_ids)):,} patients"]
    words += [f"{missing:,} of the split without a prediction"] if missing else []
    words += [f"{data['skipped']:,} listed but not on disk"] if data["skipped"] else []
    words += [f"{data['rejected']:,} left out because they cannot be used"] if data["rejected"] else []
    words += [f"{data['leaked']:,} dropped because their patient is in a later split"] if data["leaked"] else []
    return ", ".join(words)


def _training_words(record: Mapping[str, Any] | None) -> str:
    if record is None or "data" not in record:
        return "unknown"
    data = record["data"]
    split = data["splits"].get("train", {"images": 0, "patients": 0})
    kind = "synthetic" if data["synthetic"] else "real"
    return (
        f"{data['source']}, {kind}, data.split={data['settings']['split']}: {split['images']:,} images of "
        f"{split['patients']:,} patients{', a subset' if data['subset'] else ''}; "
        f"initial weights: {record.get('initial_weights', 'unknown') or 'random'}"
    )


def _selection_words(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "unknown"
    monitor = record.get("monitor")
    return f"epochs compared by {monitor}, on validation images" if monitor else "not known"


def _official_list(predictions: Predictions, split: str, missing: int) -> Criterion:
    name = "official test list complete"
    if split != "test":
        return Criterion(name, False, f"the evaluated split is {split}")
    images = pd.Series(predictions.image_ids.astype(str))
    count = f"{len(images):,} images, where NIH's test_list.txt has {OFFICIAL_TEST_IMAGES:,}"
    if names_sha256(images) == OFFICIAL_TEST_SHA256:
        return Criterion(name, True, f"all {len(images):,} images of NIH's test_list.txt")
    if missing:
        return Criterion(name, False, f"{missing:,} images were allowed to be missing (allow_missing=true); {count}")
    return Criterion(name, False, f"other images than NIH's test_list.txt: {count}")


def _official_labels(predictions: Predictions, data: Mapping[str, Any]) -> Criterion:
    """Whether the targets are NIH's own; only the v2020 edition's are known here."""
    name = "NIH's own labels"
    if names_sha256(pd.Series(predictions.image_ids.astype(str))) != OFFICIAL_TEST_SHA256:
        return Criterion(name, None, "checked only where the test list is complete")
    if targets_sha256(predictions) == OFFICIAL_TARGETS_SHA256:
        return Criterion(name, True, "those of the v2020 edition")
    if data["source"] == "nih" and "Data_Entry_2017.csv" in data["files"]:
        return Criterion(name, None, "the 2017 edition's labels cannot be checked here; the v2020 edition's can")
    return Criterion(name, False, "they differ from the v2020 edition's on these images")


def targets_sha256(predictions: Predictions) -> str | None:
    """The sha256 of what is known of the 14 findings, in any order of images and findings; None if one is missing."""
    if not set(NIH_LABELS) <= set(predictions.labels):
        return None
    digits = np.where(np.isnan(predictions.targets), "?", np.where(predictions.targets == 1, "1", "0"))
    columns = [digits[:, predictions.labels.index(label)] for label in NIH_LABELS]
    rows = ("".join(row) for row in zip(*columns, strict=True))
    lines = sorted(f"{image}:{row}\n" for image, row in zip(predictions.image_ids, rows, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _all_findings(predictions: Predictions) -> Criterion:
    absent = sorted(set(NIH_LABELS) - set(predictions.labels))
    other = sorted(set(predictions.labels) - set(NIH_LABELS))
    words = [f"without {', '.join(absent)}"] if absent else []
    words += [f"with {', '.join(other)}"] if other else []
    return Criterion("all 14 findings", not words, "; ".join(words) or "all 14 findings")


def _untouched_test(record: Mapping[str, Any] | None) -> Criterion:
    """Whether the test images can have played a part in training or in choosing."""
    name = "nothing trained or selected on test images"
    if record is None:
        return Criterion(name, None, "what these predictions were trained and selected on is not known")
    data, weights = record.get("data"), record.get("initial_weights", "unknown")
    if data is None:
        return Criterion(name, None, "what these weights were trained and selected on is not known")
    if weights not in (None, "imagenet"):
        return Criterion(name, None, f"what the initial weights ({weights}) were trained on is not known")
    if data["synthetic"]:
        return Criterion(name, True, "trained on synthetic images")
    if data["source"] == "nih" and data["settings"]["split"] != "official":
        words = f"trained with data.split={data['settings']['split']}, so on images of the official test list"
        return Criterion(name, False, words)
    if data["source"] == "nih" and _has_official_lists(data):
        return Criterion(name, True, "trained on the official training list; epochs compared on images of it")
    if data["source"] == "nih":
        return Criterion(name, None, "the split lists of training were not NIH's own files")
    return Criterion(name, None, f"whether {data['source']} holds images of the official test list is not known")


def _has_official_lists(data: Mapping[str, Any]) -> bool:
    """Whether training read NIH's own lists, by their bytes or by the names in its test split."""
    if data["splits"].get("test", {}).get("sha256") == OFFICIAL_TEST_SHA256:
        return True
    return all(data["files"].get(name) in hashes for name, hashes in OFFICIAL_LISTS.items())
