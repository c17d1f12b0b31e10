"""Findings that the training images cannot teach, and those of few patients, counted by hand."""

import logging

import numpy as np
import pytest

from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.training_labels import log_training_labels, positive_patients, untrained_labels
from tests.unit.data.test_splits import manifest_of


def manifest_with(common: list[float], rare: list[float]) -> Manifest:
    """Three training images of two patients, and a test image."""
    manifest = manifest_of([2, 1, 1], split=["train"] * 3 + ["test"])
    manifest.table["Common"], manifest.table["Rare"] = common, rare
    return manifest


@pytest.mark.parametrize(
    ("rare", "reason"),
    [
        ([0, 0, np.nan, 1], "no positives"),
        ([1, np.nan, 1, 0], "no negatives"),
        ([np.nan, np.nan, np.nan, 1], "no known targets"),
    ],
)
def test_a_finding_needs_both_among_the_training_images(rare: list[float], reason: str) -> None:
    assert untrained_labels(manifest_with([1, 1, 0, 0], rare)) == {"Rare": reason}


def test_few_patients_are_listed_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    manifest = manifest_with([1, 1, 0, 1], [0, 0, 0, 1])
    assert positive_patients(manifest) == {"Common": 1, "Rare": 0}
    with caplog.at_level(logging.INFO):
        log_training_labels(manifest)
    warning, info = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage().endswith("lack positives or negatives: Rare (no positives)")
    assert info.getMessage() == "findings of fewer than 10 training patients: Common (1)"
