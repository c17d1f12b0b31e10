"""Which findings can be trained: those with positives and with negatives among the training images."""

import logging
from collections.abc import Mapping

from cxr_lightning.data.manifest import Manifest

MIN_POSITIVE_PATIENTS = 10
"""Number of training patients with a finding below which the finding is listed."""

logger = logging.getLogger(__name__)


def untrained_labels(manifest: Manifest) -> dict[str, str]:
    """The findings that a model cannot learn, each with what the training images lack.

    Args:
        manifest: The table, divided into splits.

    Returns:
        Such as ``{"Hernia": "no positives"}``, in the order of the labels.
    """
    training = manifest.with_table(manifest.table[manifest.table["split"] == "train"])
    lacking = {}
    for label, column in zip(manifest.labels, training.targets().T, strict=True):
        absent = [name for name, target in (("positives", 1), ("negatives", 0)) if not (column == target).any()]
        if absent:
            lacking[label] = "no known targets" if len(absent) > 1 else f"no {absent[0]}"
    return lacking


def positive_patients(manifest: Manifest) -> dict[str, int]:
    """Number of training patients with each finding.

    Args:
        manifest: The table, divided into splits.
    """
    rows = manifest.table[manifest.table["split"] == "train"]
    return {label: int(rows["patient_id"][rows[label] == 1].nunique()) for label in manifest.labels}


def log_training_labels(manifest: Manifest) -> None:
    """Log which findings are not trained, and which have few patients.

    Args:
        manifest: The table, divided into splits.
    """
    untrained = untrained_labels(manifest)
    if untrained:
        logger.warning(
            "not trained, and n/a in every result, since the training images lack positives or negatives: %s",
            _listed(untrained),
        )
    few = {
        label: count
        for label, count in positive_patients(manifest).items()
        if count < MIN_POSITIVE_PATIENTS and label not in untrained
    }
    if few:
        logger.info("findings of fewer than %d training patients: %s", MIN_POSITIVE_PATIENTS, _listed(few))


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{label} ({value})" for label, value in values.items())
