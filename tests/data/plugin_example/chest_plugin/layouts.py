"""A layout of a data set: a class that reads its files into one table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr_lightning.data.datasets.base import DatasetLayout, check_data_root
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest, check_table, is_synthetic
from cxr_lightning.utils.io import file_sha256


@dataclass(frozen=True)
class JsonLayout(DatasetLayout):
    """A JSON file with one object per image: ``file``, ``patient``, ``split`` and the list ``findings``.

    Args:
        file: Name of the JSON file in the data folder.
    """

    file: str = "films.json"
    name = "films"

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """Read the table, with a column of 0 and 1 for each finding.

        Args:
            root: Folder with the file and the images.
            labels: Findings to keep; all that occur, in alphabetical order, by default.
        """
        path = check_data_root(root) / self.file
        films = json.loads(path.read_text(encoding="utf-8"))
        chosen = tuple(labels or sorted({finding for film in films for finding in film["findings"]}))
        table = pd.DataFrame(
            {
                "image_id": [film["file"] for film in films],
                "patient_id": [str(film["patient"]) for film in films],
                "path": [str(root / film["file"]) if (root / film["file"]).is_file() else None for film in films],
                "split": [film["split"] for film in films],
                "view_position": None,
                "sex": None,
                "age": np.nan,
            }
        )
        for label in chosen:
            table[label] = np.array([label in film["findings"] for film in films], dtype=np.float32)
        check_table(table, path)
        return Manifest(
            table=table[[*MANIFEST_COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(root, table["path"]),
            files={path.name: file_sha256(path)},
        )
