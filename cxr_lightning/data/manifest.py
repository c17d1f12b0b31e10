"""The checked table of a data set: one row per image, whatever files it came from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.data.metadata_cells import is_null
from cxr_lightning.data.table_problems import joined_error
from cxr_lightning.utils.plain_text import hidden_characters, shorten, visible

SPLITS = ("train", "val", "test")
MANIFEST_COLUMNS = ("image_id", "patient_id", "path", "split", "view_position", "sex", "age")
"""Columns of every table beside its labels; ``split``, ``view_position``, ``sex``, ``age`` may be missing values."""

SYNTHETIC_MARKER = "phantom.json"
"""Name of the file that marks a folder of synthetic images."""

BOX_COLUMNS = ["image_id", "label", "x", "y", "width", "height"]
"""Columns of the table of annotated boxes; the numbers are fractions of the image's sides."""


@dataclass(frozen=True)
class Manifest:
    """The table of a data set, and the files that it was read from.

    Attributes:
        table: ``MANIFEST_COLUMNS`` and one float column per label: 1 present, 0 absent, NaN unknown. ``path`` is
            absolute; ``split`` is what the files state, in their spelling (see ``splits.stated_splits``), or missing.
        labels: Finding names, in output order.
        source: The layout's name, such as ``nih``.
        synthetic: Whether the images are generated.
        files: sha256 of every label and list file that was read, by file name.
        skipped: Names of excluded images that are in the label file but not on disk.
        leaked: Names of images that were excluded because their patient is in a later split too.
        rejected: Reasons of the images that were excluded because of what is in their files, by name.
        split_notes: What is unusual in the files that state the split, as clauses.
        duplicates: Reasons of the images that were excluded because a later split has an equal one, by name.
        remarks: What a user should know of the files, as clauses.
        nearest: Clauses on the files that may be meant, by the name of an image that is not on disk.
        uncertain: Number of images in the files whose label is uncertain, by label, and what it was taken for.
        boxes: Columns ``image_id``, ``label``, ``x``, ``y``, ``width``, ``height``, as fractions of the image's sides.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    source: str
    synthetic: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    split_notes: tuple[str, ...] = ()
    duplicates: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    nearest: Mapping[str, str] = field(default_factory=dict)
    uncertain: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    boxes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=BOX_COLUMNS))

    def targets(self) -> NDArray[np.float32]:
        """Ground truth, ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
        return target_array(self.table, self.labels)

    def with_table(self, table: pd.DataFrame) -> "Manifest":
        """A copy with other rows, numbered from 0."""
        return replace(self, table=table.reset_index(drop=True))

    def exclude(self, reasons: Mapping[str, str]) -> "Manifest":
        """A copy without the images that cannot be used.

        Args:
            reasons: Why an image cannot be used, by its path.
        """
        names, kept = self._without(reasons)
        return replace(kept, rejected={**self.rejected, **names})

    def exclude_duplicates(self, reasons: Mapping[str, str]) -> "Manifest":
        """A copy without the images that equal one of a later split; ``reasons`` are as in :meth:`exclude`."""
        names, kept = self._without(reasons)
        return replace(kept, duplicates={**self.duplicates, **names})

    def _without(self, reasons: Mapping[str, str]) -> tuple[dict[str, str], "Manifest"]:
        """The reasons by name, and a copy without these images."""
        excluded = self.table["path"].isin(reasons)
        rows = self.table[excluded]
        names = {name: reasons[path] for name, path in zip(rows["image_id"], rows["path"], strict=True)}
        return names, self.with_table(self.table[~excluded]) if names else self


def target_array(table: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.float32]:
    """The label columns of a table as ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
    return table[list(labels)].to_numpy(dtype=np.float32)


def check_table(table: pd.DataFrame, source: Path) -> None:
    """Refuse a table with repeated images, or with rows that name no image or no patient.

    Raises:
        ValueError: If it is empty, an image is listed twice, or an image or patient has no name or one that is not
            shown whole.
    """
    if errors := [*find_table_errors(table, source), *_hidden_errors(table, "image_id", "images", source)]:
        raise joined_error(errors)


def find_table_errors(table: pd.DataFrame, source: Path) -> list[Exception]:
    """The errors about repeated images, rows that name no image or no patient, and patients that are not shown whole.

    Args:
        table: Columns ``image_id`` and ``patient_id``.
        source: The label file, for the messages.
    """
    if table.empty:
        return [ValueError(f"Expected images in '{source}' but it lists none. Check that the file is complete.")]
    errors: list[Exception] = []
    for column, noun in (("image_id", "image"), ("patient_id", "patient")):
        empty = table.index[is_blank(table[column])]
        if len(empty):
            errors.append(
                ValueError(
                    f"Expected every row of '{source}' to name its {noun} but {len(empty)} rows do "
                    f"not, first the one on line {empty[0] + 2}: blanks, and words such as 'nan', name nothing. "
                    "Fill the column or delete the rows."
                )
            )
    errors += _hidden_errors(table, "patient_id", "patients", source)
    named = table["image_id"][~is_blank(table["image_id"])]
    again = named[named.duplicated()]
    if len(again):
        repeated = again.unique()
        errors.append(
            ValueError(
                f"Expected every image once in '{source}' but {len(repeated)} are listed again: {preview(repeated)}, "
                f"first on line {again.index[0] + 2}. Keep one row for each."
            )
        )
    return errors


def _hidden_errors(table: pd.DataFrame, column: str, noun: str, source: Path) -> list[Exception]:
    """The error about names that are not shown whole; none if all are."""
    names = table[column][table[column].astype(str).map(hidden_characters) != ""]
    if names.empty:
        return []
    return [
        ValueError(
            f"Expected {noun} without control or invisible characters in '{source}' but {len(names)} rows have some, "
            f"first '{visible(str(names.iloc[0]))}' on line {names.index[0] + 2}. Correct these cells."
        )
    ]


def is_blank(cells: pd.Series) -> pd.Series:
    """Whether each cell holds nothing, nothing but blanks, or a word for nothing."""
    return pd.Series([not isinstance(cell, str) or is_null(cell) for cell in cells], index=cells.index, dtype=bool)


def is_synthetic(root: Path, paths: Iterable[str | None]) -> bool:
    """Whether ``SYNTHETIC_MARKER`` is in the data set's folder, in a folder with images or in such a folder's parent.

    Args:
        root: The data set's folder.
        paths: The image files; None for those not on disk.
    """
    folders = {Path(path).parent for path in paths if isinstance(path, str)}
    folders |= {folder.resolve() for folder in folders}
    return any((folder / SYNTHETIC_MARKER).is_file() for folder in {root, *folders, *(f.parent for f in folders)})


def fingerprint(manifest: Manifest) -> dict[str, object]:
    """Plain values that identify the data of a run.

    Per split: the number of images and patients and the sha256 of its sorted image names, one a line.
    """
    splits = {
        name: {
            "images": len(rows),
            "patients": int(rows["patient_id"].nunique()),
            "sha256": names_sha256(rows["image_id"]),
        }
        for name in SPLITS
        if len(rows := manifest.table[manifest.table["split"] == name])
    }
    return {
        "source": manifest.source,
        "synthetic": manifest.synthetic,
        "files": dict(manifest.files),
        "splits": splits,
        "skipped": len(manifest.skipped),
        "leaked": len(manifest.leaked) + len(manifest.duplicates),
        "rejected": len(manifest.rejected),
        "remarks": list(manifest.remarks),
        "uncertain": {label: {"images": count, "taken": taken} for label, (count, taken) in manifest.uncertain.items()},
    }


def describe_splits(manifest: Manifest) -> str:
    """Number of images and patients of each split, as a line of text."""
    parts = []
    for split in SPLITS:
        rows = manifest.table[manifest.table["split"] == split]
        parts.append(f"{split}: {len(rows):,} images of {rows['patient_id'].nunique():,} patients")
    return "; ".join(parts)


def names_sha256(names: Sequence[str] | pd.Series) -> str:
    """The sha256 of the sorted names, one a line."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()


def preview(names: Sequence[object] | NDArray[np.object_]) -> str:
    """The first five names, comma separated, with dots if there are more."""
    return ", ".join(shorten(str(name)) for name in names[:5]) + (", ..." if len(names) > 5 else "")
