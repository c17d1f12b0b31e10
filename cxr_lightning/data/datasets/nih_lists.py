"""The lists beside NIH's label file: which images are for training and which for testing, and annotated boxes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cxr_lightning.data.csv_reader import read_image_list, read_table
from cxr_lightning.data.datasets.base import table_path
from cxr_lightning.data.manifest import BOX_COLUMNS
from cxr_lightning.data.name_index import NameIndex
from cxr_lightning.data.table_problems import TableProblems, describe_words
from cxr_lightning.labels import BOX_LIST_SPELLING, NIH_LABELS
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.plain_text import shorten

SPLIT_LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
_REPACKED_LISTS = {"train_val": "train_val_list_NIH.txt", "test": "test_list_NIH.txt"}
"""Names of the same lists in smaller copies of the data set on Kaggle."""
BOX_LIST = "BBox_List_2017.csv"
_BOX_TOLERANCE = 1e-6
"""Fraction of a side that a box may reach beyond the image by rounding."""
BOX_FRAME = 1024
"""Side, in pixels, of the frame that the box list's numbers are in, whatever the image files' size."""


@dataclass(frozen=True)
class SplitLists:
    """The split lists of a folder.

    Attributes:
        folder: The folder that they are in.
        files: The file of each list, by split.
        names: Names of the images in each list that can be read, by split.
        notes: What is unusual about the lists, as clauses.
    """

    folder: Path
    files: Mapping[str, Path]
    names: Mapping[str, list[str]]
    notes: tuple[str, ...] = ()

    @property
    def shared(self) -> set[str]:
        """Images that are in both lists."""
        return set(self.names.get("train_val", [])) & set(self.names.get("test", []))

    @property
    def split_of(self) -> dict[str, str]:
        """The split of every image that is in one list."""
        shared = self.shared
        return {name: split for split, names in self.names.items() for name in names if name not in shared}

    def matched(self, images: pd.Series, problems: TableProblems) -> "SplitLists":
        """A copy with the label file's spelling of the names, where they differ as in a folder or an ending.

        Args:
            images: Images in the label file.
            problems: Collects that the lists share images.
        """
        others = {name for names in self.names.values() for name in names} - set(images)
        index = NameIndex(images if others else ())
        spelled = {name: found for name in others if (found := index.match(name)) is not None}
        names = {
            split: list(dict.fromkeys(spelled.get(name, name) for name in names)) for split, names in self.names.items()
        }
        lists = replace(self, names=names)
        if shared := sorted(lists.shared):
            error = ValueError(
                f"Expected the split lists in '{self.folder}' to share no image but they share {len(shared)}, first "
                f"{shorten(shared[0])}. Download them again."
            )
            problems.add(error)
        return lists

    def compare(self, images: pd.Series, label_file: Path) -> tuple[str, ...]:
        """What is unusual about the lists, and how many of their images are not in the label file.

        Args:
            images: Images in the label file.
            label_file: That file.
        """
        known, notes = set(images), []
        for split, names in self.names.items():
            others = [name for name in names if name not in known]
            if others:
                notes.append(
                    f"{len(others):,} of the {len(names):,} names in '{self.files[split]}' are not in "
                    f"{label_file.name}, first {shorten(others[0])}"
                )
        return (*self.notes, *notes)


def read_split_lists(folder: Path, problems: TableProblems) -> SplitLists:
    """Read the split lists of a folder, which may lack them.

    Args:
        folder: The folder with the label file.
        problems: Collects what is wrong; that a list is not there is told where it is needed.
    """
    names: dict[str, list[str]] = {}
    notes = []
    files = {split: _list_path(folder, split) for split in SPLIT_LISTS}
    for split, path in files.items():
        problem = file_problem(path)
        if not problem:
            with problems.collected():
                names[split] = read_image_list(path, problems)
            if split not in names:
                problems.unknown.add("split")
        elif os.path.lexists(path):
            notes.append(f"'{path}' cannot be used: {problem}")
        elif any(os.path.lexists(other) for other in files.values()):
            notes.append(f"'{path}' is not there")
    return SplitLists(folder, files, names, tuple(notes))


def _list_path(folder: Path, split: str) -> Path:
    """The list of a split under one of its names; under NIH's if there is none."""
    own = table_path(folder / SPLIT_LISTS[split])
    other = table_path(folder / _REPACKED_LISTS[split])
    return own if os.path.lexists(own) or not other.is_file() else other


def read_boxes(path: Path, problems: TableProblems) -> pd.DataFrame:
    """Read the box list, if it is there; its four numbers become fractions of the image's sides.

    Args:
        path: The box list.
        problems: Collects what is wrong.
    """
    numbers = ["Bbox [x", "y", "w", "h]"]
    columns = ["Image Index", "Finding Label", *numbers]
    raw = pd.DataFrame(columns=columns, dtype=object)
    problem = file_problem(path)
    if problem and os.path.lexists(path):
        problems.add(
            ValueError(
                f"Expected NIH's box list at '{path}' but {problem}. Download it again, or remove this: a data set "
                "without a box list can be used."
            )
        )
    elif not problem:
        found = TableProblems()
        raw = read_table(path, columns, fix_header=_fix_box_header, is_download=True, problems=found)
        for error in found.errors:
            problems.add(error)
    if not {*columns} <= {*raw.columns}:
        return pd.DataFrame(columns=BOX_COLUMNS)
    corners = [pd.to_numeric(raw[name], errors="coerce").astype("float64") / BOX_FRAME for name in numbers]
    boxes = pd.DataFrame(dict(zip(BOX_COLUMNS[2:], corners, strict=True)))
    boxes.insert(0, "image_id", raw["Image Index"])
    boxes.insert(1, "label", raw["Finding Label"].replace(BOX_LIST_SPELLING))
    _check_boxes(boxes, path, problems)
    return boxes.reset_index(drop=True)


def _check_boxes(boxes: pd.DataFrame, path: Path, problems: TableProblems) -> None:
    """Collect what is wrong with boxes."""
    wrong = ~np.isfinite(boxes[BOX_COLUMNS[2:]].to_numpy()).all(axis=1)
    if wrong.any():
        problems.add(
            ValueError(
                f"Expected four numbers for every box in '{path}' but {int(wrong.sum())} rows hold something else, "
                f"first line {boxes.index[wrong][0] + 2}. Download it again."
            )
        )
    outside = ~wrong & (
        (boxes[["x", "y"]] < 0).any(axis=1)
        | (boxes[["width", "height"]] <= 0).any(axis=1)
        | (boxes["x"] + boxes["width"] > 1 + _BOX_TOLERANCE)
        | (boxes["y"] + boxes["height"] > 1 + _BOX_TOLERANCE)
    )
    if outside.any():
        problems.add(
            ValueError(
                f"Expected boxes within {BOX_FRAME} x {BOX_FRAME} pixels in '{path}' but {int(outside.sum())} are "
                f"not, first line {boxes.index[outside][0] + 2}. Download it again."
            )
        )
    unknown = boxes["label"][~boxes["label"].isin(NIH_LABELS)]
    if len(unknown):
        words = describe_words(unknown, NIH_LABELS)
        problems.add(
            ValueError(
                f"Expected NIH's finding names in '{path}' but {len(unknown)} rows hold others: {words}. Download it "
                "again, or correct these cells."
            )
        )


def _fix_box_header(header: list[str]) -> list[str]:
    """Split ``Bbox [x,y,w,h],,,`` into the four columns that it stands for: it spans six of which three are empty."""
    names = ",".join(header).split(",")
    return names[: names.index("h]") + 1] if "h]" in names else names
