"""The protocol of a data set's layout, and functions that several layouts use."""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pandas as pd

from cxr_lightning.data.csv_reader import read_table
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest, find_table_errors, is_blank
from cxr_lightning.data.metadata_columns import METADATA_READERS, read_patients
from cxr_lightning.data.setting_rules import root_problem
from cxr_lightning.data.table_cells import check_image_names, parse_targets
from cxr_lightning.data.table_problems import TableProblems

_NO_COLUMNS: Mapping[str, str | None] = MappingProxyType({})


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
        needs_folder: Whether the data set's folder must be there before a run, so that its absence is told with other
            wrong settings; False if :meth:`prepare` makes it, or nothing is read there.
    """

    name: ClassVar[str]
    default_labels: ClassVar[tuple[str, ...] | None] = None
    known_labels: ClassVar[tuple[str, ...] | None] = None
    known_views: ClassVar[tuple[str, ...] | None] = None
    views_argument: ClassVar[str | None] = None
    has_validation_split: ClassVar[bool] = True
    needs_folder: ClassVar[bool] = False

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

        Raises:
            TablesError: If something is wrong, but the error's table can be used to find what is wrong with the images.
        """

    def label_columns(self, root: Path) -> Collection[str]:
        """Names of the label columns, or findings, that the files have; needed for ``data.label_map`` alone.

        Args:
            root: The data set's folder.

        Raises:
            ValueError: If the layout does not tell them.
        """
        columns = self.known_labels or self.default_labels
        if columns is None:
            raise ValueError(
                f"Expected no `data.label_map` with the layout '{self.name}', which does not tell its label columns. "
                "Leave it out."
            )
        return columns

    def listed_images(self, root: Path) -> pd.Series:
        """Paths of all images that the data set lists, missing where one is not on disk; needs no labels.

        Args:
            root: The data set's folder.
        """
        return self.read(root).table["path"]


def table_path(path: Path) -> Path:
    """A table's path, or that of its compressed form where it alone is there.

    Args:
        path: The path without ``.gz``.
    """
    compressed = path.with_name(f"{path.name}.gz")
    return compressed if not path.is_file() and compressed.is_file() else path


def check_data_root(root: Path) -> Path:
    """The data set's folder, if it exists.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if problem := root_problem(root):
        raise FileNotFoundError(problem)
    return root


def read_label_columns(
    path: Path,
    labels: Sequence[str],
    problems: TableProblems,
    *,
    image: str,
    patient: str | None,
    extra: Mapping[str, str | None] = _NO_COLUMNS,
    settings: Mapping[str, str],
    is_download: bool = False,
) -> pd.DataFrame:
    """Read a CSV with one row per image and one column per label: 0, 1, -1 (uncertain) or empty.

    Args:
        path: The CSV.
        labels: Names of the label columns.
        problems: Collects what is wrong; stand-ins are in the columns that cannot be used.
        image: Name of the column with the images.
        patient: Name of the column with the patients; None if something else tells them.
        extra: Names of the columns for ``split``, ``view_position``, ``sex`` and ``age``; None for those without.
        settings: Settings that name columns, by column, and the one that names the file by ``""``.
        is_download: Whether the file is one that users download, with names of columns that no setting gives.

    Returns:
        Columns ``image_id``, ``patient_id``, the extra ones (missing values where there is no column) and the labels;
        no rows if the images are not known.
    """
    named = {"image_id": image, "patient_id": patient, **extra}
    columns = {name: column for name, column in named.items() if column is not None}
    names = [*columns.values(), *labels]
    raw = read_table(path, names, settings=settings, is_download=is_download, problems=problems)
    table = complete_columns(raw, columns, path, problems)
    targets = parse_targets(raw[[label for label in labels if label in raw]], path, problems)
    problems.unknown |= {"labels"} if len(targets.columns) < len(labels) else set()
    targets = targets.reindex(index=table.index, columns=list(labels)).astype(float)
    return pd.concat([table, targets], axis=1)


def complete_columns(
    raw: pd.DataFrame,
    columns: Mapping[str, str],
    path: Path,
    problems: TableProblems,
    *,
    optional: Collection[str] = (),
) -> pd.DataFrame:
    """Convert a table's text to that of a manifest, with stand-ins for columns that are not there.

    Args:
        raw: Text; some of the file's columns.
        columns: The file's columns by those of a manifest.
        path: The file, for the messages.
        problems: Is told which of the columns hold stand-ins, and what cannot be read.
        optional: Columns of the manifest that the file may lack.

    Returns:
        All columns but ``path``; no rows if the images are not known.
    """
    cells = {name: raw[column] for name, column in columns.items() if column in raw}
    problems.unknown |= {name for name in columns if name not in cells and name not in optional}
    if "image_id" not in cells:
        return pd.DataFrame(columns=[name for name in MANIFEST_COLUMNS if name != "path"], dtype=object)
    images = cells["image_id"]
    complete = pd.DataFrame({"image_id": images})
    complete["patient_id"] = (
        read_patients(cells["patient_id"], columns["patient_id"], path, problems)
        if "patient_id" in cells
        else images.where(~is_blank(images), "unknown")
    )
    complete["split"] = cells["split"].replace("", None) if "split" in cells else None
    for name, reader in METADATA_READERS.items():
        complete[name] = reader.read(cells[name], columns[name], path, problems) if name in cells else None
    complete["age"] = complete["age"].astype("float64")
    return complete


def usable_rows(table: pd.DataFrame, path: Path, problems: TableProblems, *, relative: bool = False) -> pd.DataFrame:
    """The rows that name an image, each image once; the others are problems.

    Args:
        table: A table with the columns of :func:`complete_columns`.
        path: The label file, for the messages.
        problems: Collects what is wrong.
        relative: Whether an image's name may be a path below the root.
    """
    if table.empty and problems.errors:
        return table
    for error in find_table_errors(table, path):
        problems.add(error)
    named = table[~is_blank(table["image_id"])]
    problems.unknown |= {"rows"} if len(named) < len(table) else set()
    named = named[check_image_names(named["image_id"], path, relative=relative, problems=problems)]
    alone = is_blank(named["patient_id"])
    named = named.assign(patient_id=named["patient_id"].mask(alone, named["image_id"]))
    return named.drop_duplicates("image_id")


def index_images(root: Path, folders: Iterable[str] = ("", "images*", "images*/images")) -> dict[str, str]:
    """The path of every file in the image folders, by name; the first folder that holds a name wins.

    Args:
        root: The data set's folder.
        folders: Glob patterns of the folders below it; their subfolders are not searched.
    """
    found: dict[str, str] = {}
    for pattern in folders:
        for folder in sorted(root.glob(pattern)) if pattern else [root]:
            if folder.is_dir():
                with os.scandir(folder) as entries:  # a Path for each takes much time
                    for entry in entries:
                        found.setdefault(entry.name, entry.path)
    return found
