"""When numbers may be put beside published ones, and that they are not otherwise."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxr_lightning.data.manifest import names_sha256
from cxr_lightning.evaluation import comparability as module
from cxr_lightning.evaluation.comparability import (
    OFFICIAL_LISTS,
    OFFICIAL_TARGETS_SHA256,
    OFFICIAL_TEST_IMAGES,
    OFFICIAL_TEST_SHA256,
    PredictionSource,
    targets_sha256,
)
from cxr_lightning.evaluation.evaluate import EvaluationInputs, evaluate_predictions
from cxr_lightning.evaluation.published_results import OFFICIAL_SPLIT_RESULTS
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.report.evaluation_protocol import comparability_reasons, protocol_facts, verdict
from cxr_lightning.report.metrics_json import metrics_json
from cxr_lightning.report.wording import CRITERIA

LISTS = Path(__file__).parents[4] / "shared" / "data" / "nih-lists"
NAMES = [f"{number}.png" for number in range(6)]
FILES = {"labels.csv": "ab" * 32, "test_list.txt": "t", "train_val_list.txt": "v"}


def data(**changes: Any) -> dict[str, Any]:
    settings = {"split": "official", "seed": 0, "views": None, **changes.pop("settings", {})}
    plain = {"source": "nih", "synthetic": False, "subset": False, "files": FILES, "skipped": 0}
    return {
        **plain,
        "leaked": 0,
        "rejected": 0,
        "splits": {"train": {"images": 9, "patients": 3}},
        **changes,
        "settings": settings,
    }


def predictions(names: list[str] = NAMES, labels: tuple[str, ...] = NIH_LABELS) -> Predictions:
    shape = (len(names), len(labels))
    ids = np.array(names, dtype=object)
    return Predictions(labels, ids, ids, np.full(shape, 0.5), np.zeros(shape))


def edited() -> Predictions:
    """One target is not NIH's."""
    found = predictions()
    found.targets[0, 0] = 1
    return found


@pytest.fixture(autouse=True)
def _six_official_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OFFICIAL_TEST_SHA256", names_sha256(NAMES))
    monkeypatch.setattr(module, "OFFICIAL_TEST_IMAGES", len(NAMES))
    monkeypatch.setattr(module, "OFFICIAL_TARGETS_SHA256", targets_sha256(predictions()))
    monkeypatch.setattr(module, "OFFICIAL_LISTS", {"test_list.txt": ("t",), "train_val_list.txt": ("v",)})


def evaluated(
    found: Predictions | None = None,
    of: dict[str, Any] | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    split: str = "test",
    missing: int = 0,
) -> Evaluation:
    if metadata is None:
        metadata = {"data": data(), "initial_weights": "imagenet", "monitor": "val/auroc"}
    found = found or predictions()
    table = pd.DataFrame({"image_id": found.image_ids, "sex": None, "age": np.nan, "view_position": None})
    source = PredictionSource("best.ckpt", metadata or None)
    inputs = EvaluationInputs(found, table, table.iloc[:0], of or data(), source, split=split, missing=missing)
    evaluation = evaluate_predictions(inputs, replicates=2)
    metrics_json(evaluation)  # every statement has its sentence
    return evaluation


def test_comparable_when_every_condition_is_met() -> None:
    found = evaluated()
    assert found.comparability.comparable is True
    assert comparability_reasons(found) == []
    assert verdict(found) == "comparable with official-split results"
    assert [paper.name for paper in found.published] == [paper.name for paper in OFFICIAL_SPLIT_RESULTS]


def test_a_split_that_an_earlier_version_called_walkthrough_is_the_official_one() -> None:
    trained_on = data(settings={"split": "walkthrough"})
    assert evaluated(metadata={"data": trained_on, "initial_weights": None}).comparability.comparable is True


def test_every_criterion_has_a_name() -> None:
    assert [criterion.code for criterion in evaluated().comparability.criteria] == list(CRITERIA)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"of": data(synthetic=True)}, "synthetic images"),
        ({"found": predictions(NAMES[1:])}, "other images than NIH's test_list.txt: 5 images"),
        ({"found": predictions(NAMES[1:]), "missing": 1}, "1 images were allowed to be missing (allow_missing=true)"),
        ({"split": "val"}, "the evaluated split is val"),
        ({"of": data(settings={"views": ["PA"]})}, "views: PA"),
        ({"found": predictions(labels=NIH_LABELS[1:])}, "without Atelectasis"),
        ({"metadata": {"data": data(settings={"split": "patient"}), "initial_weights": None}}, "data.split=patient"),
        ({"found": edited()}, "they differ from the v2020 edition's"),
    ],
)  # fmt: skip
def test_not_comparable_and_the_reason_is_named(arguments: dict[str, Any], reason: str) -> None:
    found = evaluated(**arguments)
    assert found.comparability.comparable is False
    assert any(reason in text for text in comparability_reasons(found))
    assert found.published == ()


def test_the_verdict_tells_what_is_not_met_from_what_is_not_known() -> None:
    found = evaluated(predictions(NAMES[1:]), metadata={})
    assert verdict(found) == (
        "not comparable with official-split results; conditions not met: official test list complete (other images "
        "than NIH's test_list.txt: 5 images, where NIH's test_list.txt has 6); not known: NIH's own labels (checked "
        "only where the test list is complete), nothing trained or selected on test images (what these predictions "
        "were trained and selected on is not known)"
    )


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "what these predictions were trained and selected on is not known"),
        ({"data": data(), "initial_weights": "other.ckpt"}, "initial weights (other.ckpt)"),
        ({"data": data()}, "initial weights (unknown)"),
        ({"data": data(source="walkthrough"), "initial_weights": None}, "whether walkthrough holds images"),
        ({"data": data(files={**FILES, "test_list.txt": "own"}), "initial_weights": None}, "not NIH's own files"),
    ],
)
def test_unknown_where_selection_cannot_be_known(metadata: dict[str, Any], reason: str) -> None:
    found = evaluated(metadata=metadata)
    assert found.comparability.comparable is None
    assert any(reason in text for text in comparability_reasons(found))
    assert found.published == ()


def test_a_condition_that_fails_outweighs_one_that_is_unknown() -> None:
    assert evaluated(of=data(synthetic=True), metadata={}).comparability.comparable is False


def test_the_facts_say_what_was_done() -> None:
    facts = protocol_facts(evaluated(of=data(subset=True, skipped=3), missing=2))
    assert facts["data"] == "nih, real, a subset"
    assert facts["label files"].startswith("labels.csv (sha256 abababababab), ")
    assert "2 of the split without a prediction" in facts["images"]
    assert "3 listed but not on disk" in facts["images"]
    assert facts["selection"] == "epochs compared by val/auroc, on validation images"
    assert "9 images of 3 patients" in facts["training data"]


@pytest.mark.skipif(not LISTS.is_dir(), reason="NIH's lists are not beside the project")
def test_the_official_lists_and_labels_are_recognised() -> None:
    content = {name: gzip.decompress((LISTS / f"{name}.gz").read_bytes()) for name in OFFICIAL_LISTS}
    for name, hashes in OFFICIAL_LISTS.items():
        assert hashlib.sha256(content[name]).hexdigest() in hashes
        assert hashlib.sha256(content[name].replace(b"\n", b"\r\n")).hexdigest() in hashes
    names = content["test_list.txt"].decode().split()
    assert len(names) == OFFICIAL_TEST_IMAGES
    assert names_sha256(pd.Series(names)) == OFFICIAL_TEST_SHA256
    table = pd.read_csv(LISTS / "Data_Entry_2017_v2020.csv.gz").set_index("Image Index").loc[names[::-1]]
    labels = NIH_LABELS[::-1]  # any order
    targets = np.array(
        [[label in text.split("|") for label in labels] for text in table["Finding Labels"]], dtype=float
    )
    ids = table.index.to_numpy(dtype=object)
    assert targets_sha256(Predictions(labels, ids, ids, np.zeros_like(targets), targets)) == OFFICIAL_TARGETS_SHA256


def test_labels_of_the_2017_edition_are_unknown_and_incomplete_lists_are_not_compared() -> None:
    found = evaluated(edited(), data(files={"Data_Entry_2017.csv": "x"}))
    assert found.comparability.comparable is None
    assert any("2017 edition" in reason for reason in comparability_reasons(found))
    found = evaluated(predictions(NAMES[1:]))
    assert any("only where the test list is complete" in reason for reason in comparability_reasons(found))


@pytest.mark.parametrize("paper", OFFICIAL_SPLIT_RESULTS, ids=lambda paper: paper.name)
def test_published_means_are_those_of_the_published_rows(paper: Any) -> None:
    assert set(paper.auroc) == set(NIH_LABELS)
    assert sum(paper.auroc.values()) / 14 == pytest.approx(paper.mean, abs=0.001)
