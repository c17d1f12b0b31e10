"""Division of the images into training, validation and test: by patient, seeded."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from cxr_lightning.data.manifest import SPLITS, Manifest, preview, target_array
from cxr_lightning.data.metadata_cells import parse_split, parse_view

SplitMethod = Literal["official", "patient", "all"]
MissingPolicy = Literal["error", "skip"]
STATED_SPLITS = (*SPLITS, "train_val")
"""What the files may state as an image's split, in one of many spellings."""
_BY_PATIENT = "'data.split=patient'"


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
    requested = [parse_view(str(view)) for view in views]
    known = manifest.table["view_position"].dropna().unique()
    kept = manifest.table[manifest.table["view_position"].isin(requested)]
    if kept.empty:
        raise ValueError(
            f"Expected images with a view among {requested} but the label file has {sorted(known) or 'no views'}. "
            "Correct `data.views` or set it to null."
        )
    return manifest.with_table(kept)


def find_missing(table: pd.DataFrame, splits: Sequence[str]) -> pd.Series:
    """Mark the rows of some splits whose images are not on disk."""
    return table["split"].isin(splits) & table["path"].isna()


def assign_splits(
    manifest: Manifest,
    method: SplitMethod,
    *,
    seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    guess: bool = False,
) -> Manifest:
    """Give every image one split.

    The files may put a patient into several of them; :func:`find_leaked` finds these patients.

    Args:
        manifest: The table; its ``split`` column holds what the files state.
        method: ``official`` follows the files (a ``train_val`` part is divided by patient); ``patient`` ignores them
            and divides all patients at random; with ``all`` every image is for testing.
        seed: Draws the division.
        val_fraction: Fraction of the images for validation: of the ``train_val`` part, or of all with ``patient``.
        test_fraction: Fraction of the images for testing with ``patient``.
        guess: Guess the split of an image that the files put into none, instead of an error.

    Raises:
        ValueError: If the files do not give the split, or the fractions leave nothing for training.
    """
    table = manifest.table.copy()
    if method in ("patient", "all"):
        table = table.drop_duplicates("image_id")  # the walk-through's files share images
    if method == "all":
        table["split"] = "test"
    elif method == "patient":
        table["split"] = _divide(table["patient_id"], {"test": test_fraction, "val": val_fraction}, seed)
    else:
        unplaced = table["image_id"][find_unplaced(table)].tolist()
        if unplaced and not guess:
            raise unplaced_error(manifest, unplaced)
        table["split"] = stated_splits(table["split"])
        if unplaced:
            table["split"] = guess_splits(table["split"], table["patient_id"])
        pool = table["split"] == "train_val"
        table.loc[pool, "split"] = _divide(table.loc[pool, "patient_id"], {"val": val_fraction}, seed)
    return manifest.with_table(table)


def find_leaked(table: pd.DataFrame) -> pd.Series:
    """Mark the rows of patients that are in a later split too (train before val before test)."""
    leaked = pd.Series(False, index=table.index)
    for split, later in (("train", ["val", "test"]), ("val", ["test"])):
        in_later = set(table["patient_id"][table["split"].isin(later)])
        leaked |= (table["split"] == split) & table["patient_id"].isin(in_later)
    return leaked


def empty_splits(table: pd.DataFrame, required: Sequence[str]) -> list[str]:
    """The required splits that have no images."""
    return [split for split in required if not (table["split"] == split).any()]


def find_unplaced(table: pd.DataFrame) -> pd.Series:
    """Mark the rows for which the files give no split."""
    return stated_splits(table["split"]).isna()


def stated_splits(words: pd.Series) -> pd.Series:
    """The splits that the files state, each in the spelling of ``STATED_SPLITS``; missing where they state none."""
    splits = {word: parse_split(word) for word in words.unique() if isinstance(word, str)}
    return words.map(lambda word: splits.get(word) or None).astype(object)


def unplaced_error(manifest: Manifest, unplaced: Sequence[str], settings: str = "") -> ValueError:
    """The error about images for which the files give no split.

    Args:
        manifest: The table.
        unplaced: Names of these images.
        settings: Settings with which the files' split is not needed, as they are shown.
    """
    notes = f": {'; '.join(manifest.split_notes)}" if manifest.split_notes else ""
    remedy = f"or set {settings or _BY_PATIENT}"
    if manifest.table["split"].isna().all():
        return ValueError(
            f"Expected the files to say which image is in which split (data.split=official) but they do not{notes}. "
            f"Add the split lists (train_val_list.txt, test_list.txt) or a split column, {remedy}."
        )
    advice = "Correct the split lists or column" if notes else "Complete the split lists"
    return ValueError(
        f"Expected every image in a split (train, val, test or train_val) but {len(unplaced)} are in none: "
        f"{preview(unplaced)}{notes}. {advice}, {remedy}."
    )


def guess_splits(stated: pd.Series, patients: pd.Series) -> pd.Series:
    """Fill the splits that the files do not give: those of the patient's other images, else one that makes sense.

    Args:
        stated: The splits that the files give.
        patients: The patient of each image.
    """
    placed = stated_splits(stated)
    known = set(placed.dropna())
    rest = "test" if "test" not in known else "train" if "train" in known else "train_val"
    by_patient = dict(zip(patients[placed.notna()][::-1], placed.dropna()[::-1], strict=True))
    guessed = patients.map(by_patient).astype(object)
    guessed = guessed.where(guessed.notna(), rest)
    return placed.where(placed.notna(), guessed)


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
