"""The protocol of a data set's layout, and functions that several layouts use."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from cxr_lightning.data.csv_reader import parse_age, parse_targets, read_table
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest


class DatasetLayout(ABC):
    """How a data set's label files and images are laid out on disk.

    A subclass is a frozen dataclass whose fields are plain values: a checkpoint records them, and builds it again.

    The attributes are plain values or names of constants: the configuration's check reads them from the source.

    Attributes:
        name: Name of the layout in records and titles; the class's own name by default.
        default_labels: Findings that are read if none are chosen; None if only the files tell them.
        known_labels: The only findings that the files can name; None for any.
        known_views: The only view positions that the files state; empty if they state none, None for any.
        views_argument: The constructor's argument without which the files' view positions are not read; None if they
            always are.
        has_validation_split: Whether the official split says which images are for validation; False if
            ``data.val_fraction`` of the training images are.
    """

    name: ClassVar[str]
    default_labels: ClassVar[tuple[str, ...] | None] = None
    known_labels: ClassVar[tuple[str, ...] | None] = None
    known_views: ClassVar[tuple[str, ...] | None] = None
    views_argument: ClassVar[str | None] = None
    has_validation_split: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def prepare(self, root: Path) -> None:
        """Make what must exist before the data set is read; called in one process.

        Args:
            root: The data set's folder.
        """
        return

    @abstractmethod
    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """Read the table of the data set.

        Args:
            root: The data set's folder.
            labels: Findings to keep, in output order; all of the layout by default.

        Returns:
            The table; its ``path`` is missing where an image is not on disk.
        """

    def listed_images(self, root: Path) -> pd.Series:
        """Paths of all images that the data set lists, missing where one is not on disk; needs no labels.

        Args:
            root: The data set's folder.
        """
        return self.read(root).table["path"]


def check_data_root(root: Path) -> Path:
    """The data set's folder, if it exists.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"Expected the data set's folder at '{root}' but there is none. Set `data.root`.")
    return root


def read_label_columns(
    path: Path, labels: Sequence[str], *, image: str, patient: str, extra: dict[str, str | None] | None = None
) -> pd.DataFrame:
    """Read a CSV with one row per image and one 0 / 1 / empty column per label.

    Args:
        path: The CSV.
        labels: Names of the label columns.
        image: Name of the column with the images.
        patient: Name of the column with the patients.
        extra: Names of the columns for ``split``, ``view_position``, ``sex`` and ``age``; None for those without.

    Returns:
        Columns ``image_id``, ``patient_id``, the extra ones (missing values where there is no column) and the labels.

    Raises:
        ValueError: If a label has the name of another column of the table, or a cell is malformed.
    """
    if clash := sorted({*labels} & {*MANIFEST_COLUMNS}):
        raise ValueError(
            f"Expected labels with names that the table does not use itself but got {clash}. Rename these columns of "
            f"'{path}'."
        )
    columns = {name: column for name, column in (extra or {}).items() if column is not None}
    raw = read_table(path, [image, patient, *columns.values(), *labels])
    # One patient is "00001" in one file and "1" in another.
    table = pd.DataFrame({"image_id": raw[image], "patient_id": raw[patient].str.replace(r"^0+(?=\d)", "", regex=True)})
    for name in ("split", "view_position", "sex"):
        table[name] = raw[columns[name]].replace("", None) if name in columns else None
    for name in ("view_position", "sex"):
        table[name] = table[name].astype("object").map(lambda text: text.upper() if isinstance(text, str) else None)
    table["age"] = raw[columns["age"]].map(parse_age).astype("float64") if "age" in columns else np.nan
    for label in labels:
        table[label] = parse_targets(raw[label], path)
    return table
