"""NIH ChestX-ray14 in its official files: label CSV, split lists, box list, one or twelve image folders."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from cxr_lightning.data.csv_reader import check_image_names, index_images, parse_age, read_image_list, read_table
from cxr_lightning.data.datasets.base import DatasetLayout, check_data_root
from cxr_lightning.data.manifest import BOX_COLUMNS, MANIFEST_COLUMNS, Manifest, check_table, is_synthetic
from cxr_lightning.labels import BOX_LIST_SPELLING, NIH_LABELS, check_labels, decode_findings
from cxr_lightning.utils.io import file_sha256

LABEL_FILES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
SPLIT_LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
BOX_LIST = "BBox_List_2017.csv"
_BOX_TOLERANCE = 1e-6
"""Fraction of a side that a box may reach beyond the image by rounding."""
BOX_FRAME = 1024
"""Side, in pixels, of the frame that the box list's numbers are in, whatever the image files' size."""

_FIELDS = {
    "Image Index": "image_id",
    "Finding Labels": "findings",
    "Patient ID": "patient_id",
    "Patient Age": "age",
    "Patient Gender": "sex",
    "View Position": "view_position",
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NIHLayout(DatasetLayout):
    """The official files in one folder.

    Args:
        label_file: Name of the label CSV; by default the v2020 edition if it is there, else the 2017 one.

    References:
        Wang et al., "ChestX-ray8", CVPR 2017; the files' README.
    """

    label_file: str | None = None
    name: ClassVar[str] = "nih"
    default_labels: ClassVar[tuple[str, ...]] = NIH_LABELS
    known_labels: ClassVar[tuple[str, ...]] = NIH_LABELS
    known_views: ClassVar[tuple[str, ...]] = ("AP", "PA")
    has_validation_split: ClassVar[bool] = False

    def folder(self, root: Path) -> Path:
        """Folder that the files are in."""
        return root

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """Read the tables and find the images; ``path`` is missing where an image is not on disk.

        Args:
            root: Folder with the label CSV, the lists and the image folders.
            labels: Findings to keep, in output order; all 14 by default.

        Raises:
            FileNotFoundError: If the folder or the label CSV is not there.
            ValueError: If a table is malformed or names an unknown finding.
        """
        folder = check_data_root(self.folder(root))
        chosen = _check_nih_labels(self.default_labels if labels is None else labels)
        path = folder / (self.label_file or _newest_edition(folder))
        table = _read_labels(path, chosen)
        present = [path] + [folder / name for name in (*SPLIT_LISTS.values(), BOX_LIST) if (folder / name).is_file()]
        table["split"] = _read_split(folder, table["image_id"])
        images = index_images(folder)
        table["path"] = [str(images[name]) if name in images else None for name in table["image_id"]]
        return Manifest(
            table=table[[*MANIFEST_COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(folder, table["path"]),
            files={file.name: file_sha256(file) for file in present},
            boxes=_read_boxes(folder / BOX_LIST)
            if (folder / BOX_LIST).is_file()
            else pd.DataFrame(columns=BOX_COLUMNS),
        )


def _check_nih_labels(labels: Sequence[str]) -> tuple[str, ...]:
    unknown = [label for label in check_labels(labels) if label not in NIH_LABELS]
    if unknown:
        raise ValueError(
            f"Expected `data.labels` to be among {list(NIH_LABELS)} but got {unknown[:5]}. Correct the spelling."
        )
    return tuple(labels)


def _newest_edition(folder: Path) -> str:
    found = [name for name in LABEL_FILES if (folder / name).is_file()]
    if not found:
        names = sorted(entry.name for entry in folder.iterdir())[:5]
        raise FileNotFoundError(
            f"Expected {' or '.join(LABEL_FILES)} in '{folder}' but it holds {', '.join(names) or 'nothing'}. "
            "Set `data.root` to the folder with NIH's label file, or `data.source.label_file` to the file's name."
        )
    if len(found) > 1:
        logger.warning("'%s' holds both label editions; using %s", folder, found[0])
    return found[0]


def _split_header(header: list[str]) -> list[str]:
    """Split ``"OriginalImage[Width,Height]"`` into the two columns that it stands for in every edition."""
    return [name.strip() for name in ",".join(header).split(",")]


def _read_labels(path: Path, labels: Sequence[str]) -> pd.DataFrame:
    raw = read_table(path, list(_FIELDS), fix_header=_split_header).rename(columns=_FIELDS)
    check_table(raw, path)
    check_image_names(raw["image_id"], path)
    findings = {text: _decode_cell(text, raw, path) for text in raw["findings"].unique()}
    table = raw.drop(columns="findings")
    for label in labels:
        table[label] = raw["findings"].map({text: np.float32(label in names) for text, names in findings.items()})
    table["age"] = raw["age"].map({text: parse_age(text) for text in raw["age"].unique()}).astype("float64")
    for column in ("sex", "view_position"):
        table[column] = raw[column].str.upper().replace("", None)
    return table.reset_index(drop=True)


def _decode_cell(text: str, raw: pd.DataFrame, path: Path) -> frozenset[str]:
    try:
        return decode_findings(text)
    except ValueError as error:
        line = raw.index[raw["findings"] == text][0] + 2
        raise ValueError(
            f"Expected NIH's finding names or 'No Finding' in '{path}' but line {line} holds {text!r} ({error}). "
            "Correct the cell."
        ) from error


def _read_split(folder: Path, images: pd.Series) -> pd.Series:
    """The split of each image, ``train_val`` or ``test``; missing where there are no lists."""
    lists = {split: read_image_list(folder / name) for split, name in SPLIT_LISTS.items() if (folder / name).is_file()}
    if not lists:
        return pd.Series(None, index=images.index, dtype=object)
    both = sorted(set(lists.get("train_val", [])) & set(lists.get("test", [])))
    if both:
        raise ValueError(
            f"Expected the split lists in '{folder}' to share no image but they share {len(both)}, first {both[0]}. "
            "Download them again."
        )
    return images.map({name: split for split, names in lists.items() for name in names})


def _read_boxes(path: Path) -> pd.DataFrame:
    """Read the box list; its four numbers become fractions of the image's sides."""
    numbers = ["Bbox [x", "y", "w", "h]"]
    raw = read_table(path, ["Image Index", "Finding Label", *numbers], fix_header=_fix_box_header)
    corners = [pd.to_numeric(raw[name], errors="coerce").astype("float64") / BOX_FRAME for name in numbers]
    boxes = pd.DataFrame(dict(zip(BOX_COLUMNS[2:], corners, strict=True)))
    wrong = raw.index[~np.isfinite(boxes.to_numpy()).all(axis=1)]
    if len(wrong):
        raise ValueError(
            f"Expected four numbers for every box in '{path}' but {len(wrong)} rows hold something else, "
            f"first line {wrong[0] + 2}. Download it again."
        )
    outside = (
        (boxes[["x", "y"]] < 0).any(axis=1)
        | (boxes[["width", "height"]] <= 0).any(axis=1)
        | (boxes["x"] + boxes["width"] > 1 + _BOX_TOLERANCE)
        | (boxes["y"] + boxes["height"] > 1 + _BOX_TOLERANCE)
    )
    if outside.any():
        raise ValueError(
            f"Expected boxes within {BOX_FRAME} x {BOX_FRAME} pixels in '{path}' but {int(outside.sum())} are "
            f"not, first line {raw.index[outside][0] + 2}. Download it again."
        )
    boxes.insert(0, "image_id", raw["Image Index"])
    boxes.insert(1, "label", raw["Finding Label"].replace(BOX_LIST_SPELLING))
    unknown = sorted(set(boxes["label"]) - set(NIH_LABELS))
    if unknown:
        raise ValueError(f"Expected NIH's finding names in '{path}' but got {unknown[:5]}. Download it again.")
    return boxes.reset_index(drop=True)


def _fix_box_header(header: list[str]) -> list[str]:
    """Split ``Bbox [x,y,w,h],,,`` into the four columns that it stands for: it spans six of which three are empty."""
    names = ",".join(header).split(",")
    return names[: names.index("h]") + 1] if "h]" in names else names
