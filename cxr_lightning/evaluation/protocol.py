"""How numbers came about, and whether they may be put beside published ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxr_lightning.data.manifest import names_sha256
from cxr_lightning.evaluation.results import Criterion, Protocol
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.predictions import Predictions

OFFICIAL_TEST_IMAGES = 25_596
OFFICIAL_TEST_SHA256 = "3d0c44b68d287fd04f90c4f25df13428bba7b3e729f65715d5cf73a88e83d226"
"""Of the sorted names in NIH's test_list.txt, one a line."""

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
        Criterion("all views", settings["views"] is None, f"views: {views}"),
        _all_findings(predictions),
        _untouched_test(origin.record),
    )
    return Protocol(facts, criteria)


def _image_words(predictions: Predictions, data: Mapping[str, Any], missing: int) -> str:
    words = [f"{len(predictions.image_ids):,} of {len(set(predictions.patient_ids)):,} patients"]
    words += [f"{missing:,} of the split without a prediction"] if missing else []
    words += [f"{data['skipped']:,} listed but not on disk"] if data["skipped"] else []
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
    return f"epoch chosen by {monitor} (validation)" if monitor else "epoch chosen on validation"


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
    if data is None or weights not in (None, "imagenet"):
        return Criterion(name, None, f"what the initial weights ({weights}) were trained on is not known")
    if data["synthetic"]:
        return Criterion(name, True, "trained on synthetic images, epoch chosen on validation")
    if data["source"] == "nih":
        official = data["settings"]["split"] == "official"
        return Criterion(
            name,
            official,
            "trained on the official training list, epoch chosen on validation"
            if official
            else f"trained with data.split={data['settings']['split']}, so on images of the official test list",
        )
    return Criterion(name, None, f"whether {data['source']} holds images of the official test list is not known")
