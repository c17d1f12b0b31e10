"""The Keras walk-through's teaching files: one one-hot CSV per split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from cxr_lightning.data.csv_rows import table_digests
from cxr_lightning.data.datasets.base import (
    DatasetLayout,
    check_data_root,
    index_images,
    read_label_columns,
    table_path,
    usable_rows,
)
from cxr_lightning.data.image_finder import find_files, same_file_error
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest, is_synthetic, preview
from cxr_lightning.data.table_problems import TableProblems
from cxr_lightning.labels import WALKTHROUGH_LABELS, check_labels


@dataclass(frozen=True)
class WalkthroughLayout(DatasetLayout):
    """One one-hot CSV per split, columns in any order, and image folders as NIH's.

    Args:
        train_file: Name of the training CSV.
        val_file: Name of the validation CSV.
        test_file: Name of the test CSV.
    """

    train_file: str = "train-small.csv"
    val_file: str = "valid-small.csv"
    test_file: str = "test.csv"
    name: ClassVar[str] = "walkthrough"
    default_labels: ClassVar[tuple[str, ...]] = WALKTHROUGH_LABELS
    known_views: ClassVar[tuple[str, ...]] = ()
    needs_folder: ClassVar[bool] = True

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """Read the tables and find the images; ``path`` is missing where an image is not on disk.

        Args:
            root: Folder with the CSVs and the image folders.
            labels: Findings to keep, in output order; the walk-through's, in its order, by default.

        Raises:
            FileNotFoundError: If the folder or a CSV is not there.
            ValueError: If a table is malformed, or two files differ on an image.
        """
        check_data_root(root)
        chosen = check_labels(self.default_labels if labels is None else labels)
        files = {"train": self.train_file, "val": self.val_file, "test": self.test_file}
        label_settings = {} if labels is None else dict.fromkeys(chosen, "data.labels")
        problems = TableProblems()
        parts = []
        for split, name in files.items():
            path = table_path(root / name)
            part = read_label_columns(
                path,
                chosen,
                problems,
                image="Image",
                patient="PatientId",
                settings={**label_settings, "": f"data.source.{split}_file"},
                is_download=True,
            )
            if part.empty:
                problems.unknown.add("split")
            parts.append(usable_rows(part, path, problems).assign(split=split))
        table = pd.concat([part for part in parts if len(part)] or parts[:1])
        with problems.collected():
            _check_repeats(table, chosen, root)
        if table.empty:
            problems.check()
        table = table.reset_index(drop=True)
        found = find_files(root, table["image_id"], index_images(root))
        table["path"] = found.paths
        if error := same_file_error(table, root):
            problems.add(error)
        manifest = Manifest(
            table=table[[*MANIFEST_COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(root, table["path"]),
            files=table_digests(
                {path.name: path for path in map(table_path, (root / name for name in files.values()))}
            ),
            remarks=(*problems.remarks, *found.remarks),
            nearest=found.nearest,
        )
        problems.check(manifest)
        return manifest


def _check_repeats(table: pd.DataFrame, labels: Sequence[str], root: Path) -> None:
    """Refuse an image that has other labels or another patient in another file.

    An image that is the same in two files is a leak, which the splits refuse or drop.
    """
    facts = table[["image_id", "patient_id", *labels]].drop_duplicates()
    differing = facts["image_id"][facts["image_id"].duplicated()].unique()
    if len(differing):
        raise ValueError(
            f"Expected an image to have the same labels and patient in all files in '{root}' but {len(differing)} "
            f"differ: {preview(differing)}. Correct the rows."
        )
