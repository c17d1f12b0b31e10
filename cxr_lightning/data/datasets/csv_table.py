"""Any CSV with an image column, a patient column and one column per label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from cxr_lightning.data.csv_reader import check_image_names, read_header, read_table
from cxr_lightning.data.datasets.base import DatasetLayout, check_data_root, read_label_columns
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest, check_table, is_synthetic
from cxr_lightning.labels import check_labels
from cxr_lightning.utils.io import file_sha256


@dataclass(frozen=True)
class CsvLayout(DatasetLayout):
    """Any CSV with one row per image: an image column, a patient column, and a 0 / 1 / empty column per label.

    Args:
        file: The CSV, relative to the data folder.
        image_column: Column with the image's path, relative to the data folder.
        patient_column: Column that tells which images are of one patient.
        split_column: Column with ``train``, ``val`` and ``test``, if there is one.
        view_column: Column with the view position (PA, AP, ...), if there is one.
        sex_column: Column with the sex, if there is one.
        age_column: Column with the age in years, if there is one.
        follow_links: Whether links below the data folder may lead out of it.
    """

    file: str = "labels.csv"
    image_column: str = "image"
    patient_column: str = "patient_id"
    split_column: str | None = None
    view_column: str | None = None
    sex_column: str | None = None
    age_column: str | None = None
    follow_links: bool = False
    name: ClassVar[str] = "csv"
    views_argument: ClassVar[str] = "view_column"

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
        path = check_data_root(root) / self.file
        if labels is None:
            raise ValueError(
                f"Expected `data.labels` to name the label columns of '{path}' but it is null; "
                f"the columns are {read_header(path)[:30]}. Set, for example, 'data.labels=[Effusion,Edema]'."
            )
        chosen = check_labels(labels)
        extra = {
            "split": self.split_column,
            "view_position": self.view_column,
            "sex": self.sex_column,
            "age": self.age_column,
        }
        table = read_label_columns(path, chosen, image=self.image_column, patient=self.patient_column, extra=extra)
        check_table(table, path)
        table["path"] = self.image_paths(root, table["image_id"])
        return Manifest(
            table=table.reset_index(drop=True)[[*MANIFEST_COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(root, table["path"]),
            files={path.name: file_sha256(path)},
        )

    def listed_images(self, root: Path) -> pd.Series:
        """Paths of the images in the image column, whatever the labels are.

        Args:
            root: Folder that the CSV and the images are in.
        """
        path = check_data_root(root) / self.file
        return self.image_paths(root, read_table(path, [self.image_column])[self.image_column])

    def image_paths(self, root: Path, names: pd.Series) -> pd.Series:
        """Paths of the images that a table names, missing where one is not on disk.

        Raises:
            ValueError: If one leads out of the data folder.
        """
        path = root / self.file
        check_image_names(names, path, relative=True)
        inside = root.resolve()
        for line, name in zip(names.index.tolist(), names, strict=True):
            if not (self.follow_links or (root / name).resolve().is_relative_to(inside)):
                raise ValueError(
                    f"Expected images below '{root}' but '{name}' on line {line + 2} of '{path}' is a link to "
                    "elsewhere. Set 'data.source.follow_links=true' if that is meant."
                )
        return names.map(lambda name: str(root / name) if (root / name).is_file() else None)
