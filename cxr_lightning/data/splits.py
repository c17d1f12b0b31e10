"""Division of the images into training, validation and test: by patient, seeded, checked for leaks."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from cxr_lightning.data.manifest import SPLITS, Manifest, preview, target_array
from cxr_lightning.utils.validation import check_choice

SplitMethod = Literal["official", "patient", "all"]
MissingPolicy = Literal["error", "skip"]

logger = logging.getLogger(__name__)


class PatientOverlapError(ValueError):
    """A patient's images are in more than one split."""


def keep_views(manifest: Manifest, views: Sequence[str] | None) -> Manifest:
    """Keep the images taken in one of these views.

    Args:
        manifest: The table.
        views: Such as ``["PA"]``; None keeps all, unknown views too.

    Raises:
        ValueError: If the files do not give views, or none of the images has one of these.
    """
    if views is None:
        return manifest
    requested = [str(view).upper() for view in views]
    known = manifest.table["view_position"].dropna().unique()
    kept = manifest.table[manifest.table["view_position"].isin(requested)]
    if kept.empty:
        raise ValueError(
            f"Expected images with a view among {requested} but the label file has {sorted(known) or 'no views'}. "
            "Correct `data.views` or set it to null."
        )
    return manifest.with_table(kept)


def resolve_missing(
    manifest: Manifest,
    on_missing: MissingPolicy,
    splits: Sequence[str] = SPLITS,
    required: Sequence[str] = SPLITS,
) -> Manifest:
    """Stop if images are not on disk, or exclude them and record which.

    Args:
        manifest: Divided into splits.
        on_missing: ``error`` or ``skip``.
        splits: Only their images are looked for.
        required: Of another split all images may be missing, whatever the policy.

    Raises:
        ValueError: If the policy is unknown.
        FileNotFoundError: If images are missing and the policy is ``error``, or if all of them are.
    """
    check_choice("data.on_missing", on_missing, MissingPolicy)
    split, absent = manifest.table["split"], manifest.table["path"].isna()
    looked_for = split.isin(splits)
    missing = looked_for & absent
    if not missing.any():
        return manifest
    names = manifest.table["image_id"][missing].tolist()
    found = f"{len(names)} of {int(looked_for.sum())} images in the label file are not on disk: {preview(names)}"
    fully_absent = [name for name in splits if name not in required and absent[split == name].all()]
    all_missing = bool(missing[looked_for].all())
    if all_missing or (on_missing == "error" and (missing & ~split.isin(fully_absent)).any()):
        remedy = "" if all_missing else ", or set 'data.on_missing=skip' to go on without them"
        raise FileNotFoundError(
            f"Expected every image of the label file below the data folder but {found}. "
            f"Unpack the image archives, check `data.root`{remedy}."
        )
    logger.warning("%s; going on without them", found)
    return replace(manifest.with_table(manifest.table[~missing]), skipped=tuple(names))


def assign_splits(
    manifest: Manifest,
    method: SplitMethod,
    *,
    seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    drop_leaked: bool = False,
    required: Sequence[str] = SPLITS,
) -> Manifest:
    """Give every image one split, no patient in two of them.

    Args:
        manifest: The table; its ``split`` column holds what the files state.
        method: ``official`` follows the files (a ``train_val`` part is divided by patient); ``patient`` ignores them
            and divides all patients at random; with ``all`` every image is for testing.
        seed: Draws the division.
        val_fraction: Fraction of the images for validation: of the ``train_val`` part, or of all with ``patient``.
        test_fraction: Fraction of the images for testing with ``patient``.
        drop_leaked: Exclude patients of the validation and test sets from the training set, and those of the test
            set from the validation set, instead of stopping.
        required: Splits that must not be empty.

    Raises:
        PatientOverlapError: If a patient is in two splits.
        ValueError: If the files do not give the split, or a required one is empty.
    """
    table = manifest.table.copy()
    if method in ("patient", "all"):
        table = table.drop_duplicates("image_id")  # the walk-through's files share images
    if method == "all":
        table["split"] = "test"
    elif method == "patient":
        table["split"] = _divide(table["patient_id"], {"test": test_fraction, "val": val_fraction}, seed)
    else:
        table["split"] = _splits_from_files(table)
        pool = table["split"] == "train_val"
        table.loc[pool, "split"] = _divide(table.loc[pool, "patient_id"], {"val": val_fraction}, seed)
    leaked = _find_leaked(table, allowed=drop_leaked)
    names = tuple(table["image_id"][leaked])
    table = table[~leaked]
    return require_splits(replace(manifest.with_table(table), leaked=names), required)


def require_splits(manifest: Manifest, required: Sequence[str] = SPLITS) -> Manifest:
    """Return the manifest if each of these splits has images.

    Raises:
        ValueError: If one is empty.
    """
    found = manifest.table["split"]
    empty = [split for split in required if not (found == split).any()]
    if empty:
        raise ValueError(
            f"Expected images in each of {list(required)} but {empty} got none of the {len(found)} images. "
            "Check the split lists, `data.views`, `data.val_fraction` and what is on disk, or set 'data.split=patient'."
        )
    return manifest


def _splits_from_files(table: pd.DataFrame) -> pd.Series:
    stated = table["split"].replace({"valid": "val", "validation": "val"})
    if stated.isna().all():
        raise ValueError(
            "Expected the files to say which image is in which split (data.split=official) but they do not. "
            "Add the split lists (train_val_list.txt, test_list.txt) or a split column, or set 'data.split=patient'."
        )
    unplaced = table["image_id"][~stated.isin([*SPLITS, "train_val"])].tolist()
    if unplaced:
        raise ValueError(
            f"Expected every image in a split (train, val, test or train_val) but {len(unplaced)} are in none: "
            f"{preview(unplaced)}. Complete the split lists, or set 'data.split=patient'."
        )
    return stated


def _divide(patients: pd.Series, fractions: dict[str, float], seed: int) -> pd.Series:
    """Take patients in a seeded random order until each part has its fraction of the images; the rest is ``train``."""
    if not all(0 <= fraction < 1 for fraction in fractions.values()) or sum(fractions.values()) >= 1:
        raise ValueError(f"Expected fractions in [0, 1) that leave images for training but got {fractions}.")
    if patients.empty:
        return patients.astype(object)
    sizes = patients.value_counts().sort_index()
    order = sizes.iloc[np.random.default_rng(seed).permutation(len(sizes))]
    middle = (order.cumsum() - order / 2) / len(patients)  # a patient belongs where the middle of its images falls
    split_of = pd.Series("train", index=order.index)
    start = 0.0
    for split, fraction in fractions.items():
        split_of[(middle >= start) & (middle < start + fraction)] = split
        start += fraction
    return patients.map(split_of)


def _find_leaked(table: pd.DataFrame, *, allowed: bool) -> pd.Series:
    """Mark the rows of patients that are in a later split too; stop if there are any and that is not allowed."""
    leaked = pd.Series(False, index=table.index)
    for split, later in (("train", ["val", "test"]), ("val", ["test"])):
        in_later = set(table["patient_id"][table["split"].isin(later)])
        leaked |= (table["split"] == split) & table["patient_id"].isin(in_later)
    if not leaked.any():
        return leaked
    patients = sorted(table["patient_id"][leaked].unique(), key=lambda name: (len(str(name)), str(name)))
    found = f"{len(patients)} patients have images in more than one split: {preview(patients)}"
    if not allowed:
        raise PatientOverlapError(
            f"Expected no patient in two splits but {found}. "
            f"Set 'data.drop_leaked=true' to drop their {int(leaked.sum())} images from the earlier split "
            "(train before val before test), or correct the files."
        )
    logger.warning("%s; dropped %d images from the earlier split (data.drop_leaked)", found, int(leaked.sum()))
    return leaked


def draw_subset(table: pd.DataFrame, labels: Sequence[str], size: int, seed: int) -> pd.DataFrame:
    """About ``size`` images of whole patients, with positives and negatives of every label that has both.

    Patients are taken in a seeded random order: first the earliest one with a positive and the earliest one with a
    negative of each label, then any, until there are ``size`` images. So rare findings are over-represented in a
    small subset, and it can be larger than ``size`` where the labels need that.

    Args:
        table: Rows of one split.
        labels: Label columns.
        size: Requested number of images; all are kept if there are no more.
        seed: Draws the order.

    Returns:
        The chosen rows in their own order.
    """
    if len(table) <= size:
        return table
    patients = np.random.default_rng(seed).permutation(np.sort(table["patient_id"].unique()))
    rank = pd.Series(np.arange(len(patients)), index=patients)
    first = table["patient_id"].map(rank).to_numpy()
    targets = target_array(table, labels)
    chosen = {int(first[side].min()) for column in targets.T for side in (column == 1, column == 0) if side.any()}
    images = np.bincount(first, minlength=len(patients))
    total = int(images[list(chosen)].sum())
    for patient in range(len(patients)):
        if total >= size:
            break
        if patient not in chosen:
            chosen.add(patient)
            total += int(images[patient])
    return table[np.isin(first, list(chosen))]
