"""The checked table of a data set: one row per image, whatever files it came from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
COLUMNS = ("image_id", "patient_id", "path", "split", "view_position", "sex", "age")
"""Columns of every table beside its labels; ``split``, ``view_position``, ``sex``, ``age`` may be missing values."""

SYNTHETIC_MARKER = "phantom.json"
"""Name of the file by which a folder says that its images are made, not taken."""

BOX_COLUMNS = ["image_id", "label", "x", "y", "width", "height"]


@dataclass(frozen=True)
class Manifest:
    """One row per image, and where it came from.

    Attributes:
        table: ``COLUMNS`` and one float column per label: 1 present, 0 absent, NaN unknown. ``path`` is absolute;
            ``split`` is the one that the files give (``train``, ``val``, ``test``, ``train_val``) or missing.
        labels: Finding names, in output order.
        source: The layout's name, such as ``nih``.
        synthetic: Whether the images are made, not taken.
        files: sha256 of every label and list file that was read, by file name.
        skipped: Names of images that are in the label file but not on disk, and were left out.
        leaked: Names of images that were left out because their patient is in a later split too.
        rejected: Why images were left out that cannot be used, by name.
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
    boxes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=BOX_COLUMNS))

    def targets(self) -> NDArray[np.float32]:
        """Ground truth, ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
        return targets_of(self.table, self.labels)

    def with_table(self, table: pd.DataFrame) -> "Manifest":
        """The same manifest with other rows, numbered anew."""
        return replace(self, table=table.reset_index(drop=True))

    def without(self, reasons: Mapping[str, str]) -> "Manifest":
        """The same manifest without images that cannot be used, whose reasons are given by path."""
        if not reasons:
            return self
        gone = self.table["path"].isin(reasons)
        rows = self.table[gone]
        rejected = {name: reasons[path] for name, path in zip(rows["image_id"], rows["path"], strict=True)}
        return replace(self.with_table(self.table[~gone]), rejected={**self.rejected, **rejected})


def targets_of(table: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.float32]:
    """The label columns of a table as ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
    return table[list(labels)].to_numpy(dtype=np.float32)


def check_table(table: pd.DataFrame, source: Path) -> None:
    """Refuse a table that later steps could not trust.

    Raises:
        ValueError: If it is empty, an image is listed twice, or an image or patient has no name.
    """
    if table.empty:
        raise ValueError(f"Expected images in '{source}' but it lists none. Check that the file is complete.")
    for column, word in (("image_id", "image"), ("patient_id", "patient")):
        empty = table.index[table[column].astype("string").str.strip().fillna("") == ""]
        if len(empty):
            raise ValueError(
                f"Expected every row of '{source}' to name its {word} but {len(empty)} rows do not, "
                f"first the one on line {empty[0] + 2}. Fill the column or delete the rows."
            )
    doubled = table["image_id"][table["image_id"].duplicated()].unique()
    if len(doubled):
        raise ValueError(
            f"Expected every image once in '{source}' but {len(doubled)} are listed again: {first_five(doubled)}. "
            "Keep one row for each."
        )


def is_synthetic(root: Path, paths: Iterable[str | None]) -> bool:
    """Whether the data set's folder, or one that an image is in or its parent, says that the images are made.

    Args:
        root: The data set's folder.
        paths: Of the images; None for those not on disk.
    """
    folders = {Path(path).parent for path in paths if isinstance(path, str)}
    folders |= {folder.resolve() for folder in folders}
    return any((folder / SYNTHETIC_MARKER).is_file() for folder in {root, *folders, *(f.parent for f in folders)})


def fingerprint(manifest: Manifest) -> dict[str, object]:
    """What identifies the data of a run, as plain values.

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
        "leaked": len(manifest.leaked),
        "rejected": len(manifest.rejected),
    }


def names_sha256(names: Sequence[str] | pd.Series) -> str:
    """The sha256 of the sorted names, one a line."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_five(names: Sequence[object] | NDArray[np.object_]) -> str:
    """The first five names, comma separated, with dots if there are more."""
    return ", ".join(str(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
