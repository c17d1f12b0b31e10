"""A labeled folder or CSV on which an exported model is checked, and other images of it that calibrate a quantizer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr_lightning.data.csv_reader import read_header
from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.registry import build_layout
from cxr_lightning.data.label_policy import LabelPolicy
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.selection import Selection
from cxr_lightning.data.splits import stated_splits
from cxr_lightning.labels import describe_uncertain
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.suggestions import did_you_mean

CALIBRATION_IMAGES = 128
"""Number of images from which a quantizer computes ranges, where there are as many; four times as many gain nothing."""
MIN_CALIBRATION_IMAGES = 8
_MAX_SET_ASIDE = 0.25
"""Fraction of a set without splits that is set aside at most."""
_CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt")
_ITS_OWN_PATIENT = "(.+)"
_COLUMNS = {"image_column": "image", "patient_column": "patient_id", "split_column": "split"}
"""Columns of a CSV by their options, and the names that are looked for without these."""


@dataclass(frozen=True)
class LabeledSet:
    """Labeled images on which a model is checked, and others of the same set.

    Attributes:
        manifest: The table of all of them.
        checked: Rows of the checked images.
        calibration: Rows of other patients' images, none of which is checked.
        selection: Description of the checked images, such as ``the test images``.
        notes: What a user should know of the set, as clauses.
    """

    manifest: Manifest
    checked: pd.DataFrame
    calibration: pd.DataFrame
    selection: str
    notes: tuple[str, ...] = ()


def read_labeled_set(
    path: Path,
    labels: Sequence[str],
    *,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    trained_on: Mapping[str, Any] | None = None,
) -> LabeledSet:
    """Read a labeled set; the test images of official splits are checked, or all but some that are set aside.

    Args:
        path: A data set's folder, or a CSV with a row per image; images are relative to its folder.
        labels: Findings of a model, in output order; those without labels in the files are unknown.
        layout: Layout of the folder; ``nih`` for a folder and ``csv`` for a file by default.
        columns: Columns of a CSV by their options (``image_column``, ``patient_column``, ``split_column``).
        trained_on: Record of the data that the model was trained on, where it has one.

    Raises:
        FileNotFoundError: If the folder, a table or all images are not there.
        ValueError: If a table cannot be read, it has none of the labels, its splits have no test images, or there are
            too few images to calibrate with.
    """
    reader, root, notes = _layout(path, layout, columns or {})
    known = set(reader.label_columns(root))
    chosen = [label for label in labels if label in known]
    if not chosen:
        hint = did_you_mean(labels[0], list(known)) or f"They are {', '.join(labels[:5])}."
        raise ValueError(f"Expected labels of the model's findings in '{path}' but it has none of them. {hint}")
    table = LabelPolicy(uncertain="ignore").read_whole(reader, root, chosen)
    absent = {label: np.nan for label in labels if label not in known}
    manifest = replace(table, table=table.table.assign(**absent), labels=tuple(labels))
    return _divide(manifest, path, [*notes, *_notes(manifest, [*absent], trained_on or {})])


def _layout(path: Path, layout: str | None, columns: Mapping[str, str]) -> tuple[DatasetLayout, Path, list[str]]:
    """The layout, the data set's folder, and what to know of a CSV's columns."""
    is_table = path.name.lower().endswith(_CSV_SUFFIXES)
    name = layout or ("csv" if is_table and not path.is_dir() else "nih")
    if name != CsvLayout.name:
        if columns:
            raise ValueError(
                f"Expected a CSV beside --{next(iter(columns)).replace('_', '-')} but got the layout '{name}' of "
                f"'{path}'. Leave it out, or add --layout csv."
            )
        if not path.is_dir():
            found = "it is a file" if path.is_file() else "there is none"
            raise FileNotFoundError(f"Expected a data set's folder or a CSV at '{path}' but {found}. Check the path.")
        return build_layout(name), path, []
    file = path / CsvLayout.file if path.is_dir() else path
    if problem := file_problem(file):
        raise FileNotFoundError(f"Expected a CSV at '{file}' but {problem}. Check the path.")
    return _csv_layout(file, columns)


def _csv_layout(file: Path, columns: Mapping[str, str]) -> tuple[DatasetLayout, Path, list[str]]:
    header = read_header(file, "--check-on")
    for option, column in ({"image_column": _COLUMNS["image_column"]} | dict(columns)).items():
        if column not in header:
            raise ValueError(
                f"Expected a column '{column}' in '{file}' but its columns are {header[:30]}. "
                f"Name another one with --{option.replace('_', '-')}."
            )
    found = {option: columns.get(option, name) for option, name in _COLUMNS.items()}
    found = {option: column for option, column in found.items() if column in header}
    if "patient_column" in found:
        return build_layout(CsvLayout.name, file=file.name, **found), file.parent, []
    alone = {"patient_column": None, "patient_pattern": _ITS_OWN_PATIENT}
    own = build_layout(CsvLayout.name, file=file.name, **alone, **found)
    return own, file.parent, ["no column of patients: each image counts as a patient of its own (--patient-column)"]


def _divide(manifest: Manifest, path: Path, notes: list[str]) -> LabeledSet:
    """Divide the images on disk into those that are checked and those that calibrate."""
    missing = manifest.table["path"].isna()
    if missing.all():
        raise FileNotFoundError(f"Expected the images of '{path}' on disk but none is there. Unpack them.")
    if missing.any():
        notes = [*notes, f"{missing.sum():,} of {len(missing):,} listed images are not on disk and are left out"]
    on_disk = manifest.with_table(manifest.table[~missing])
    stated = stated_splits(on_disk.table["split"])
    if stated.notna().any():
        if not (stated == "test").any():
            raise ValueError(
                f"Expected test images in '{path}' but its splits are {sorted(stated.dropna().unique())}: a model is "
                "not checked on images that it was trained on. Give a set with test images."
            )
        selection, words = Selection(split="official", val_fraction=0), "the test images"
    else:
        aside = min(_MAX_SET_ASIDE, CALIBRATION_IMAGES / len(on_disk.table))
        selection = Selection(split="patient", val_fraction=0, test_fraction=1 - aside)
        words = "all images but those of the patients that are set aside"
    table = selection.apply(on_disk, guess=True).manifest.table  # rows without a split are none of the test
    checked = table[table["split"] == "test"].reset_index(drop=True)
    others = table[table["split"] != "test"]
    if len(others) < MIN_CALIBRATION_IMAGES:
        raise ValueError(
            f"Expected at least {MIN_CALIBRATION_IMAGES} images in '{path}' to calibrate with, beside those that are "
            f"checked, but there are {len(others)}. Add training images, or give a larger set."
        )
    drawn = np.random.default_rng(0).permutation(len(others))[:CALIBRATION_IMAGES]
    return LabeledSet(on_disk, checked, others.iloc[sorted(drawn)].reset_index(drop=True), words, tuple(notes))


def _notes(manifest: Manifest, absent: Sequence[str], trained_on: Mapping[str, Any]) -> Iterator[str]:
    """What a user should know of the labels and the images, as clauses."""
    yield from manifest.remarks
    if absent:
        yield f"findings without labels there, which are n/a: {', '.join(absent)}"
    if manifest.uncertain:
        yield f"uncertain labels (-1) in the label files: {describe_uncertain(manifest.uncertain)}"
    settings = trained_on.get("settings", {})
    same = set(manifest.files.values()) & set(trained_on.get("files", {}).values())
    if same and settings.get("split") != "official":
        yield "the model was trained with another division of these files, so that it may have seen checked images"
