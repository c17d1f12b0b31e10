"""Splits: no patient in two of them, everything used, and the same for the same seed."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.data.data_errors import PatientOverlapError
from cxr_lightning.data.manifest import Manifest, fingerprint, names_sha256
from cxr_lightning.data.splits import (
    SplitMethod,
    assign_splits,
    draw_subset,
    find_unplaced,
    guess_splits,
    keep_views,
    stated_splits,
)
from cxr_lightning.utils.validation import check_choice
from tests.conftest import select_rows

LABELS = ("Common", "Rare")


def manifest_of(
    images_per_patient: list[int], split: str | Sequence[str | None] | None = "train_val", seed: int = 0
) -> Manifest:
    """A manifest with that many patients; targets are random."""
    generator = np.random.default_rng(seed)
    patients = [f"p{number}" for number, count in enumerate(images_per_patient) for _ in range(count)]
    size = len(patients)
    table = pd.DataFrame(
        {
            "image_id": [f"{number:04d}.png" for number in range(size)],
            "patient_id": patients,
            "path": [f"/images/{number:04d}.png" for number in range(size)],
            "split": pd.Series(split if isinstance(split, list) else [split] * size, dtype=object),
            "view_position": generator.choice(["PA", "AP"], size),
            "sex": None,
            "age": np.nan,
            "Common": (generator.random(size) < 0.5).astype(np.float32),
            "Rare": (generator.random(size) < 0.05).astype(np.float32),
        }
    )
    return Manifest(table, LABELS, "test")


def members(manifest: Manifest) -> dict[str, set[str]]:
    table = manifest.table
    return {split: set(table["image_id"][table["split"] == split]) for split in ("train", "val", "test")}


cohorts = st.lists(st.integers(1, 9), min_size=30, max_size=60)
seeds = st.integers(0, 2**32 - 1)


@given(cohorts, seeds, st.floats(0.15, 0.3), st.floats(0.15, 0.3))
@settings(max_examples=30, deadline=None)
def test_a_patient_split_shares_no_patient_and_keeps_every_image(
    cohort: list[int], seed: int, val: float, test: float
) -> None:
    manifest = manifest_of(cohort, split=None)
    table = assign_splits(manifest, "patient", seed=seed, val_fraction=val, test_fraction=test).table
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    assert table["image_id"].tolist() == manifest.table["image_id"].tolist()
    assert set(table["split"]) == {"train", "val", "test"}
    for split, fraction in (("val", val), ("test", test)):
        # Each border falls within half a patient, so a share is off by one patient's images at most.
        assert abs((table["split"] == split).sum() - fraction * len(table)) <= max(cohort)


@given(cohorts, seeds)
@settings(max_examples=20, deadline=None)
def test_row_order_does_not_change_a_split_and_the_seed_repeats_it(cohort: list[int], seed: int) -> None:
    manifest = manifest_of(cohort)
    shuffled = manifest.with_table(manifest.table.sample(frac=1, random_state=seed))
    first, second = (assign_splits(each, "patient", seed=seed) for each in (manifest, shuffled))
    assert members(first) == members(second)


def test_another_seed_gives_another_split() -> None:
    manifest = manifest_of([1] * 50)
    assert members(assign_splits(manifest, "patient", seed=0)) != members(assign_splits(manifest, "patient", seed=1))


def test_the_official_split_divides_train_val_by_patient_and_leaves_the_test_list() -> None:
    given_splits = ["train_val"] * 60 + ["test"] * 30
    manifest = manifest_of([3] * 30, split=list(given_splits))
    table = assign_splits(manifest, "official", val_fraction=0.25).table
    assert (table["split"][60:] == "test").all()
    assert (table["split"] == "val").sum() == 15  # five of twenty patients
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()


def test_the_patient_split_ignores_what_the_files_say() -> None:
    cohort = [2] * 20
    expected = members(assign_splits(manifest_of(cohort, split=None), "patient"))
    assert members(assign_splits(manifest_of(cohort, split="test"), "patient")) == expected


def test_given_splits_are_kept_and_validation_may_be_spelled_out() -> None:
    manifest = manifest_of([1] * 4, split=["train", "valid", "validation", "test"])
    assert assign_splits(manifest, "official").table["split"].tolist() == ["train", "val", "val", "test"]


LEAKY = ["train", "val", "train", "test", "val", "test", "train", "val", "test", "train"]
"""Two images per patient: p0 train and val, p1 train and test, p2 val and test, p3 train and val, p4 test and train."""


def test_leaked_patients_stop_the_run_with_their_number_names_and_the_remedy() -> None:
    manifest = manifest_of([2] * 5, split=list(LEAKY))
    with pytest.raises(PatientOverlapError) as caught:
        select_rows(manifest, required=["test"])
    message = str(caught.value)
    assert "no patient in two splits but 5 patients have images in more than one split: p0, p1, p2, p3, p4." in message
    assert "'data.drop_leaked=true' to drop their 5 images" in message


def test_the_leak_error_names_the_first_five_patients_only() -> None:
    manifest = manifest_of([2] * 12, split=["train", "test"] * 12)
    with pytest.raises(PatientOverlapError, match=r"12 patients .*: p0, p1, p2, p3, p4, \.\.\.\. Set"):
        select_rows(manifest, required=["test"])


def test_leaked_images_are_dropped_from_the_earlier_split_only(caplog: pytest.LogCaptureFixture) -> None:
    extra = ["train", "train"]
    manifest = manifest_of([2] * 6, split=[*LEAKY, *extra])
    with caplog.at_level(logging.WARNING):
        table = select_rows(manifest, drop_leaked=True).table
    kept = dict(zip(table["image_id"], table["split"], strict=True))
    assert kept == {
        "0001.png": "val",
        "0003.png": "test",
        "0005.png": "test",
        "0007.png": "val",
        "0008.png": "test",
        "0010.png": "train",
        "0011.png": "train",
    }
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    assert "5 patients have images in more than one split" in caplog.text
    assert "dropped 5 images" in caplog.text


def test_dropping_leaks_changes_nothing_where_there_are_none() -> None:
    manifest = manifest_of([1] * 3, split=["train", "val", "test"])
    assert len(select_rows(manifest, drop_leaked=True).table) == 3


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ([None] * 4, r"say which image is in which split \(data\.split=official\) but they do not"),
        (["train", "val", "test", None], r"every image in a split .* but 1 are in none: 0003\.png\. Complete"),
        (["train", "val", "test", "extra"], r"every image in a split .* but 1 are in none: 0003\.png"),
        (["train", "train", "test", "test"], r"images in each of .* but \['val'\] got none of the 4 images"),
        (["test"] * 4, r"but \['train', 'val'\] got none"),
    ],
)
def test_files_that_do_not_give_the_splits_are_refused(split: list[str | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select_rows(manifest_of([1] * 4, split=split))


def test_a_guessed_split_is_that_of_the_patients_other_images_so_that_no_patient_leaks() -> None:
    table = manifest_of([2, 2, 1, 1], split=["train", None, None, "val", "extra", "test"]).table
    assert guess_splits(table["split"], table["patient_id"]).tolist() == [*["train"] * 2, *["val"] * 2, "train", "test"]
    table = manifest_of([1, 2], split=["train_val", None, None]).table
    assert guess_splits(table["split"], table["patient_id"]).tolist() == ["train_val", "test", "test"]


@pytest.mark.parametrize("fractions", [(-0.1, 0.2), (0.5, 0.5), (1.0, 0.0), (0.1, float("nan"))])
def test_fractions_that_leave_nothing_for_training_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"fractions in \[0, 1\) that leave images for training"):
        assign_splits(manifest_of([1] * 9), "patient", val_fraction=fractions[0], test_fraction=fractions[1])


def test_too_few_patients_for_three_splits_is_an_error() -> None:
    with pytest.raises(ValueError, match="got none of the 50 images"):
        select_rows(manifest_of([50]), split="patient")


def test_an_unknown_method_is_refused() -> None:
    assert check_choice("data.split", "patient", SplitMethod) == "patient"
    with pytest.raises(ValueError, match=r"`data\.split` to be one of .* but got 'random'"):
        check_choice("data.split", "random", SplitMethod)


def test_views_keep_their_images_whatever_the_case() -> None:
    manifest = manifest_of([1] * 40)
    kept = keep_views(manifest, ["pa"]).table
    expected = manifest.table["image_id"][manifest.table["view_position"] == "PA"].tolist()
    assert kept["image_id"].tolist() == expected
    assert kept.index.tolist() == list(range(len(expected)))
    assert keep_views(manifest, None) is manifest
    assert len(keep_views(manifest, ["PA", "AP"]).table) == 40


def test_views_that_no_image_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"among \['LATERAL'\] but the label file has \['AP', 'PA'\]"):
        keep_views(manifest_of([1] * 40), ["lateral"])
    manifest = manifest_of([1] * 4)
    manifest.table["view_position"] = None
    with pytest.raises(ValueError, match="the label file has no views"):
        keep_views(manifest, ["PA"])


def without_images(count: int, missing: int) -> Manifest:
    manifest = manifest_of([1] * count)
    manifest.table["path"] = [None] * missing + [f"/{number}" for number in range(count - missing)]
    manifest.table["split"] = "test"
    return manifest


TEST = {"required": ["test"], "images": ["test"]}


def test_missing_images_are_an_error_with_count_and_first_five() -> None:
    with pytest.raises(FileNotFoundError, match=r"but 7 of 9 images .*: 0000\.png, .*0004\.png, \.\.\.\.") as caught:
        select_rows(without_images(9, 7), **TEST)
    assert "0005.png" not in str(caught.value)
    assert "data.on_missing=skip" in str(caught.value)


def test_missing_images_can_be_skipped_and_are_remembered(caplog: pytest.LogCaptureFixture) -> None:
    manifest = select_rows(without_images(9, 2), on_missing="skip", **TEST)
    assert len(manifest.table) == 7
    assert manifest.skipped == ("0000.png", "0001.png")
    assert fingerprint(manifest)["skipped"] == 2
    assert "2 of 9 images in the label file are not on disk: 0000.png, 0001.png" in caplog.text


def test_all_images_missing_is_an_error_even_when_skipping() -> None:
    with pytest.raises(FileNotFoundError, match=r"9 of 9 images") as caught:
        select_rows(without_images(9, 9), on_missing="skip", **TEST)
    assert "on_missing" not in str(caught.value)


@given(cohorts, seeds, st.integers(5, 80))
@settings(max_examples=30, deadline=None)
def test_a_subset_has_whole_patients_and_both_sides_of_every_label(cohort: list[int], seed: int, size: int) -> None:
    table = manifest_of(cohort, seed=seed).table
    subset = draw_subset(table, LABELS, size, seed)
    assert set(subset.index) <= set(table.index)
    assert subset.index.is_monotonic_increasing
    left = table.drop(subset.index)
    assert not set(left["patient_id"]) & set(subset["patient_id"])
    for label in LABELS:
        assert set(subset[label]) == set(table[label])  # both sides, where there are both
    # At most two patients per label are needed for both sides; one more patient may overshoot.
    needed = 2 * len(LABELS) * max(cohort)
    assert min(size, len(table)) <= len(subset) < max(needed + 1, size + max(cohort))
    pd.testing.assert_frame_equal(draw_subset(table, LABELS, size, seed), subset)


def test_a_subsets_patients_do_not_depend_on_row_order() -> None:
    table = manifest_of([2] * 40).table
    names = set(draw_subset(table, LABELS, 20, 3)["image_id"])
    assert set(draw_subset(table.sample(frac=1, random_state=1), LABELS, 20, 3)["image_id"]) == names
    assert set(draw_subset(table, LABELS, 20, 4)["image_id"]) != names


def test_unknown_targets_count_as_neither_side_of_a_subset() -> None:
    table = manifest_of([1] * 30).table
    table["Rare"] = [np.nan] * 28 + [1.0, 0.0]
    assert set(draw_subset(table, LABELS, 5, 0)["Rare"].dropna()) == {0.0, 1.0}


def test_a_split_no_larger_than_the_subset_is_kept_whole() -> None:
    table = manifest_of([2] * 5).table
    assert draw_subset(table, LABELS, 10, 0) is table


def test_the_fingerprint_counts_and_names_each_split() -> None:
    manifest = assign_splits(manifest_of([1] * 4, split=["train", "val", "test", "train"]), "official")
    assert fingerprint(manifest)["splits"] == {
        "train": {"images": 2, "patients": 2, "sha256": names_sha256(["0003.png", "0000.png"])},
        "val": {"images": 1, "patients": 1, "sha256": names_sha256(["0001.png"])},
        "test": {"images": 1, "patients": 1, "sha256": names_sha256(["0002.png"])},
    }


def test_images_of_splits_that_are_not_needed_may_be_missing() -> None:
    manifest = without_images(9, 4)
    manifest.table.loc[:2, "split"] = "train"  # 3 missing of train, 1 of 6 of test
    with pytest.raises(FileNotFoundError, match=r"but 1 of 6 images .*: 0003\.png"):
        select_rows(manifest, **TEST)
    manifest.table.loc[3, "path"] = "/3"
    assert len(select_rows(manifest, **TEST).table) == 9


def test_a_split_that_is_not_required_may_lack_all_images_but_not_some() -> None:
    manifest = without_images(9, 3)
    manifest.table.loc[:2, "split"] = "val"
    assert len(select_rows(manifest, required=["test"], images=["test", "val"]).table) == 6
    manifest.table.loc[0, "path"] = "/0"
    with pytest.raises(FileNotFoundError, match="but 2 of 9 images"):
        select_rows(manifest, required=["test"], images=["test", "val"])


def test_with_all_every_image_is_for_testing_whatever_the_files_say() -> None:
    manifest = manifest_of([2, 1, 1])
    manifest.table["split"] = None
    found = select_rows(manifest, split="all", required=["test"]).table
    assert found["split"].tolist() == ["test"] * len(manifest.table)
    with pytest.raises(ValueError, match=r"\['train', 'val'\] got none"):
        select_rows(manifest, split="all")


def test_rows_without_a_split_are_those_that_state_none_whatever_stands_for_nothing() -> None:
    words = pd.Series(["Train", None, float("nan"), np.nan, pd.NA, "", "extra", "VALID"], dtype=object)
    assert find_unplaced(pd.DataFrame({"split": words})).tolist() == [False, *[True] * 6, False]
    assert stated_splits(words).dropna().tolist() == ["train", "val"]
