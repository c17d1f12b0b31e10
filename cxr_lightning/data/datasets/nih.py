"""NIH ChestX-ray14 in its official files: label CSV, split lists, box list, one or twelve image folders."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from cxr_lightning.data.csv_reader import read_table
from cxr_lightning.data.csv_rows import table_digests
from cxr_lightning.data.datasets.base import (
    DatasetLayout,
    check_data_root,
    complete_columns,
    index_images,
    table_path,
    usable_rows,
)
from cxr_lightning.data.datasets.nih_lists import BOX_LIST, SplitLists, read_boxes, read_split_lists
from cxr_lightning.data.image_finder import find_files, same_file_error
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest, is_synthetic
from cxr_lightning.data.splits import guess_splits
from cxr_lightning.data.table_problems import TableProblems, describe_words
from cxr_lightning.labels import NIH_LABELS, NO_FINDING, check_labels, nih_finding, split_findings

LABEL_FILES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_FINDINGS = "Finding Labels"
_COLUMNS = {"image_id": "Image Index", "patient_id": "Patient ID"}
_METADATA_COLUMNS = {
    "age": ("Patient Age",),
    "sex": ("Patient Gender", "Patient Sex"),
    "view_position": ("View Position",),
}
"""Columns that a file may lack, each with the names that it has in NIH's editions."""
_MAX_UNKNOWN = 20
"""Number of unknown names of one cell that are told; there are 14 findings."""
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
    needs_folder: ClassVar[bool] = True

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
        problems = TableProblems()
        path, table = folder, pd.DataFrame()
        with problems.collected():
            path = table_path(folder / (_newest_edition(folder) if self.label_file is None else self.label_file))
            table = _read_labels(path, chosen, problems)
        lists = read_split_lists(folder, problems)
        box_list = table_path(folder / BOX_LIST)
        boxes = read_boxes(box_list, problems)
        if table.empty:
            problems.check()
        lists = lists.matched(table["image_id"], problems)
        table["split"] = _splits(table, lists, problems)
        found = find_files(folder, table["image_id"], index_images(folder))
        table["path"] = found.paths
        if error := same_file_error(table, path):
            problems.add(error)
        read = [path, *lists.files.values(), box_list]
        manifest = Manifest(
            table=table[[*MANIFEST_COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(folder, table["path"]),
            files=table_digests({file.name: file for file in read}),
            split_notes=lists.notes if "rows" in problems.unknown else lists.compare(table["image_id"], path),
            remarks=(*problems.remarks, *found.remarks),
            nearest=found.nearest,
            boxes=boxes,
        )
        problems.check(manifest)
        return manifest


def _check_nih_labels(labels: Sequence[str]) -> tuple[str, ...]:
    unknown = [label for label in check_labels(labels) if label not in NIH_LABELS]
    if unknown:
        raise ValueError(
            f"Expected `data.labels` to be among {list(NIH_LABELS)} but got {unknown[:5]}. Correct the spelling."
        )
    return tuple(labels)


def _newest_edition(folder: Path) -> str:
    found = [name for name in LABEL_FILES if table_path(folder / name).is_file()]
    found = found or [name for name in LABEL_FILES if os.path.lexists(folder / name)]
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


def _read_labels(path: Path, labels: Sequence[str], problems: TableProblems) -> pd.DataFrame:
    settings = {"": "data.source.label_file"}
    alternatives = [name for names in _METADATA_COLUMNS.values() for name in names]
    raw = read_table(
        path,
        [*_COLUMNS.values(), _FINDINGS, *alternatives],
        optional=alternatives,
        fix_header=_split_header,
        settings=settings,
        is_download=True,
        problems=problems,
    )
    columns = _COLUMNS | {
        column: next((name for name in names if name in raw), names[0]) for column, names in _METADATA_COLUMNS.items()
    }
    table = complete_columns(raw, columns, path, problems, optional=_METADATA_COLUMNS)
    findings = _decode_cells(raw[_FINDINGS], path, problems) if _FINDINGS in raw else {}
    found = raw[_FINDINGS].map(findings.__getitem__) if findings else None
    for label in labels:
        present = {names: np.float32(label in names) for names in set(findings.values())}
        table[label] = np.float32(np.nan) if found is None else found.map(present.__getitem__).reindex(table.index)
    if _FINDINGS not in raw:
        problems.unknown.add("labels")
    return usable_rows(table, path, problems).reset_index(drop=True)


def _decode_cells(cells: pd.Series, path: Path, problems: TableProblems) -> dict[str, frozenset[str]]:
    """The findings in each different cell; names that are no findings are a problem."""
    allowed = frozenset({NO_FINDING, *NIH_LABELS})
    findings: dict[str, frozenset[str]] = {}
    kinds: dict[frozenset[str], frozenset[str]] = {}  # one set for equal ones: texts may be many
    unknown: dict[str, list[str]] = {}
    contradictions = set()
    for text in cells.unique():
        names = [nih_finding(name) for name in split_findings(text)]
        found = allowed.intersection(names)
        findings[text] = kinds.setdefault(found, found)
        if NO_FINDING in found and len(names) > 1:
            contradictions.add(text)
        if len(found) < len(set(names)):
            unknown[text] = [name for name in names if name not in allowed][:_MAX_UNKNOWN]
    where = f"column '{_FINDINGS}' of '{path}'"
    if unknown:
        words = cells[cells.isin(unknown)].map(unknown).explode()
        error = ValueError(
            f"Expected NIH's finding names or '{NO_FINDING}' in {where} but {words.index.nunique()} cells hold unknown "
            f"findings: {describe_words(words, allowed)}. Correct the cells."
        )
        problems.add(error, "labels")
    contradictory = cells[cells.isin(contradictions)]
    if len(contradictory):
        error = ValueError(
            f"Expected findings or '{NO_FINDING}' alone in {where} but {len(contradictory)} cells hold '{NO_FINDING}' "
            f"beside other findings: {describe_words(contradictory)}. Correct the cells."
        )
        problems.add(error, "labels")
    return findings


def _splits(table: pd.DataFrame, lists: SplitLists, problems: TableProblems) -> pd.Series:
    """The split of each image, ``train_val`` or ``test``; missing where it is in no list."""
    split = table["image_id"].map(lists.split_of).astype(object)
    shared = table["image_id"].isin(lists.shared)
    if "split" in problems.unknown or shared.any():
        guessed = guess_splits(split, table["patient_id"])
        split = guessed if "split" in problems.unknown else split.mask(shared, guessed)
    return split
