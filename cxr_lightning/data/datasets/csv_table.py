"""Any CSV with an image column, a patient column and one column per label."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import pandas as pd

from cxr_lightning.data.csv_reader import read_header, read_table
from cxr_lightning.data.csv_rows import table_digests
from cxr_lightning.data.datasets.base import (
    DatasetLayout,
    check_data_root,
    read_label_columns,
    table_path,
    usable_rows,
)
from cxr_lightning.data.image_finder import find_files, normalized_path, same_file_error
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest, is_synthetic
from cxr_lightning.data.path_patients import check_pattern, path_patients, patient_folder_remarks
from cxr_lightning.data.splits import STATED_SPLITS, stated_splits
from cxr_lightning.data.table_cells import check_image_names
from cxr_lightning.data.table_problems import TableProblems, describe_words
from cxr_lightning.labels import check_labels


@dataclass(frozen=True)
class CsvLayout(DatasetLayout):
    r"""Any CSV with one row per image: an image column, a patient column, and a 0 / 1 / empty column per label.

    Args:
        file: The CSV, relative to the data folder.
        image_column: Column with the image's path, relative to the data folder.
        patient_column: Column that tells which images are of one patient; not needed with ``patient_pattern``.
        split_column: Column with ``train``, ``val`` and ``test``, if there is one.
        view_column: Column with the view position (PA, AP, ...), if there is one.
        sex_column: Column with the sex, if there is one.
        age_column: Column with the age in years, if there is one.
        patient_pattern: Regular expression whose one group finds the patient in an image's path, such as
            ``patient(\d+)``; it counts instead of ``patient_column``.
        follow_links: Whether links below the data folder may lead out of it.
    """

    file: str = "labels.csv"
    image_column: str = "image"
    patient_column: str | None = "patient_id"
    split_column: str | None = None
    view_column: str | None = None
    sex_column: str | None = None
    age_column: str | None = None
    patient_pattern: str | None = None
    follow_links: bool = False
    name: ClassVar[str] = "csv"
    views_argument: ClassVar[str] = "view_column"
    needs_folder: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.patient_pattern is not None:
            check_pattern(self.patient_pattern)
        elif self.patient_column is None:
            raise ValueError(
                "Expected `data.source.patient_column` or `data.source.patient_pattern` but got neither: images of one "
                "patient must not be in two splits. Set one of them."
            )
        elif self.patient_column == self.image_column:
            raise ValueError(
                f"Expected a column of patients as `data.source.patient_column` but got '{self.patient_column}', the "
                "column of the images: every image would be a patient. Set another column, or "
                "`data.source.patient_pattern` to find the patient in the path ('\"(.+)\"': each image has its own)."
            )

    def label_columns(self, root: Path) -> tuple[str, ...]:
        """Names of the columns that may be labels: all that no setting names.

        Args:
            root: Folder that the CSV is in.
        """
        path = self._path(root)
        named = self._settings(())
        return tuple(name for name in read_header(path, named[""], list(named)) if name and name not in named)

    def _path(self, root: Path) -> Path:
        return table_path(check_data_root(root) / self.file)

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """Read the table and find the images; ``path`` is missing where an image is not on disk.

        Args:
            root: Folder that the CSV and the images are in.
            labels: Names of the label columns, in output order.

        Raises:
            FileNotFoundError: If the folder or the CSV is not there.
            ValueError: If the table is malformed, or ``labels`` is None: the file does not tell which columns are
                labels.
        """
        path = self._path(root)
        problems = TableProblems()
        chosen = self._labels(path, labels, problems)
        table = read_label_columns(
            path,
            chosen,
            problems,
            image=self.image_column,
            patient=None if self.patient_pattern else self.patient_column,
            extra={
                "split": self.split_column,
                "view_position": self.view_column,
                "sex": self.sex_column,
                "age": self.age_column,
            },
            settings=self._settings(chosen),
        )
        notes = () if "split" in problems.unknown else self._split_notes(table["split"], path)
        table["image_id"] = table["image_id"].map(normalized_path)
        if self.patient_pattern is not None:
            table["patient_id"] = path_patients(table["image_id"], self.patient_pattern, path, problems)
        table = usable_rows(table, path, problems, relative=True)
        found = find_files(root, table["image_id"])
        table = self._below_root(root, table.assign(path=found.paths), problems)
        if error := same_file_error(table, path):
            problems.add(error)
        remarks = [*problems.remarks, *found.remarks, *patient_folder_remarks(table)]
        if table.empty:
            problems.check()
        manifest = Manifest(
            table=table.reset_index(drop=True)[[*MANIFEST_COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(root, table["path"]),
            files=table_digests({path.name: path}),
            split_notes=notes,
            remarks=tuple(remarks),
            nearest=found.nearest,
        )
        problems.check(manifest)
        return manifest

    def _labels(self, path: Path, labels: Sequence[str] | None, problems: TableProblems) -> tuple[str, ...]:
        """The label columns; none if they are not known."""
        if labels is None:
            with problems.collected("labels"):
                columns = read_header(path, "data.source.file", list(self._settings(())))[:30]
                raise ValueError(
                    f"Expected `data.labels` to name the label columns of '{path}' but it is null; "
                    f"the columns are {columns}. Set, for example, 'data.labels=[Effusion,Edema]'."
                )
            return ()
        chosen = check_labels(labels)
        if clash := sorted({*chosen} & {*MANIFEST_COLUMNS}):
            error = ValueError(
                f"Expected labels with names that the table does not use itself but got {clash}. Rename these columns "
                f"of '{path}'."
            )
            problems.add(error, "labels")
        return tuple(label for label in chosen if label not in MANIFEST_COLUMNS)

    def _settings(self, labels: Sequence[str]) -> dict[str, str]:
        """The settings that name columns, by column, and the one that names the file by ``""``."""
        columns = {name: getattr(self, name) for name in vars(self) if name.endswith("_column")}
        named = {str(column): f"data.source.{name}" for name, column in columns.items() if column is not None}
        return {**dict.fromkeys(labels, "data.labels or data.label_map"), **named, "": "data.source.file"}

    def _split_notes(self, stated: pd.Series, path: Path) -> tuple[str, ...]:
        """What the split column holds that is no split, as a clause."""
        wrong = stated[stated_splits(stated).isna()].fillna("")
        if self.split_column is None or wrong.empty:
            return ()
        return (f"column '{self.split_column}' of '{path}' holds {describe_words(wrong, STATED_SPLITS)}",)

    def listed_images(self, root: Path) -> pd.Series:
        """Paths of the images in the image column, whatever the labels are.

        Args:
            root: Folder that the CSV and the images are in.
        """
        path = self._path(root)
        problems = TableProblems()
        raw = read_table(path, [self.image_column], settings=self._settings(()), problems=problems)
        problems.check()
        table = pd.DataFrame({"image_id": raw[self.image_column].map(normalized_path)})
        table = table[check_image_names(table["image_id"], path, relative=True, problems=problems)]
        table = self._below_root(root, table.assign(path=find_files(root, table["image_id"]).paths), problems)
        problems.check()
        paths: pd.Series = table["path"]
        return paths

    def _below_root(self, root: Path, table: pd.DataFrame, problems: TableProblems) -> pd.DataFrame:
        """The rows whose images are no links out of the data folder; the others are a problem."""
        inside = root.resolve()
        if self.follow_links:
            return table
        is_below = cache(lambda path: path.resolve().is_relative_to(inside))
        paths = [Path(path or root / name) for name, path in zip(table["image_id"], table["path"], strict=True)]
        # A folder is resolved once for all of its images.
        found = [is_below(path if path == root or path.is_symlink() else path.parent) for path in paths]
        below = pd.Series(found, table.index, dtype=bool)
        if not below.all():
            wrong = table["image_id"][~below]
            error = ValueError(
                f"Expected images below '{root}' but {len(wrong)} are links to elsewhere, first '{wrong.iloc[0]}' on "
                f"line {wrong.index[0] + 2} of '{root / self.file}'. Set 'data.source.follow_links=true' if that is "
                "meant."
            )
            problems.add(error, "rows")
        return table[below]
