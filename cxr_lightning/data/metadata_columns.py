"""Columns that state patients, ages, sexes and view positions: what is read, and what is said of the rest."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from cxr_lightning.data.metadata_cells import parse_age, parse_patient, parse_sex, parse_view, says_unknown
from cxr_lightning.data.table_problems import TableProblems, describe_words
from cxr_lightning.imaging.view_positions import parse_view_position

_MIN_KNOWN_FRACTION = 0.5
"""Fraction of the rows with a value below which a column is remarked upon."""
_SCIENTIFIC = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+")
"""A number as spreadsheets show it that is too long for a cell."""
_MAX_LETTERS = 64


@dataclass(frozen=True)
class MetadataReader:
    """How a column's cells are read.

    Attributes:
        parse: From a cell's text to its value.
        is_read: Whether a text is one of the known spellings.
        unread: What cells hold that are none, as the end of a clause.
    """

    parse: Callable[[str], Any]
    is_read: Callable[[str], bool]
    unread: str

    def read(self, cells: pd.Series, column: str, path: Path, problems: TableProblems) -> pd.Series:
        """The values of a column, missing where none is stated; what cannot be read becomes a remark.

        Args:
            cells: Text.
            column: Name of the column.
            path: The file, for the remarks.
            problems: Collects the remarks.
        """
        words = cells.unique()
        unknown = {text for text in words if says_unknown(text)}
        unread = {text for text in words if text not in unknown and not self.is_read(text)}
        values = {text: None if text in unknown else self.parse(text) for text in words}
        values = {text: None if value == "" else value for text, value in values.items()}
        where = f"column '{column}' of '{path.name}'"
        if unread:
            wrong = cells[cells.isin(unread)]
            problems.remarks.append(f"{len(wrong):,} cells of {where} {self.unread}: {describe_words(wrong)}")
        known = len(cells) - int(cells.isin(unknown).sum())
        if len(cells) and known < _MIN_KNOWN_FRACTION * len(cells):
            problems.remarks.append(f"{where} has a value in {known:,} of {len(cells):,} rows only")
        return cells.map(values.__getitem__)


def _is_view(text: str) -> bool:
    return bool(parse_view_position(text)) or text.strip().upper() == "FRONTAL"


def _is_age(text: str) -> bool:
    return not math.isnan(parse_age(text))


METADATA_READERS = MappingProxyType(
    {
        "view_position": MetadataReader(parse_view, _is_view, "name other views than PA, AP and lateral"),
        "sex": MetadataReader(parse_sex, lambda text: bool(parse_sex(text)), "state no sex that can be read"),
        "age": MetadataReader(parse_age, _is_age, "state no age that can be read, or an impossible one"),
    }
)
"""The reader of each column of a manifest that describes patients and views."""


def read_patients(cells: pd.Series, column: str, path: Path, problems: TableProblems) -> pd.Series:
    """The patients of a column; that one patient is spelled in several ways becomes a remark.

    Args:
        cells: Text.
        column: Name of the column.
        path: The file, for the remark.
        problems: Collects the remark.
    """
    patients = {text: parse_patient(text) for text in cells.unique()}
    if rounded := [text for text in patients if _SCIENTIFIC.fullmatch(text[:_MAX_LETTERS].strip())]:
        problems.remarks.append(
            f"{len(rounded):,} patients of column '{column}' of '{path.name}', such as '{rounded[0].strip()}', are "
            "numbers that a spreadsheet has rounded: different patients may have become one"
        )
    spellings: dict[str, list[str]] = {}
    for text, patient in patients.items():
        spellings.setdefault(patient, []).append(text)
    several = [texts for patient, texts in spellings.items() if patient and len(texts) > 1]
    if several:
        problems.remarks.append(
            f"{len(several):,} patients of column '{column}' of '{path.name}' are spelled in several ways, such as "
            f"'{several[0][0]}' and '{several[0][1]}'; each is one patient"
        )
    return cells.map(patients.__getitem__)
