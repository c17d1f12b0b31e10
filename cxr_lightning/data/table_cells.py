"""Strict readers of a table's cells: truth, and names of images."""

import math
from pathlib import Path

import pandas as pd

from cxr_lightning.data.table_problems import TableProblems, collector, describe_words, quoted_names
from cxr_lightning.utils.paths import escapes_root, name_problem
from cxr_lightning.utils.plain_text import shorten

UNCERTAIN = -1.0
"""What CheXpert's labeler writes for a finding that a report is uncertain about."""
_SPELLED_TARGETS = {0.0: ("0", "0.0", "0,0"), 1.0: ("1", "1.0", "1,0"), UNCERTAIN: ("-1", "-1.0", "-1,0")}
_TARGET_VALUES = {"": math.nan, **{text: value for value, texts in _SPELLED_TARGETS.items() for text in texts}}


def parse_targets(cells: pd.DataFrame, path: Path, problems: TableProblems | None = None) -> pd.DataFrame:
    """Convert label columns' text to 1, 0, -1 (uncertain) or NaN (empty: unknown).

    Args:
        cells: The columns.
        path: The label file, for the message.
        problems: Collects what is wrong, instead of an error; a cell that holds anything else is unknown.

    Raises:
        ValueError: If a cell holds anything else.
    """
    with collector(problems) as found:
        numbers = {column: cells[column].map(_TARGET_VALUES).astype("float32") for column in cells.columns}
        values = pd.DataFrame(numbers, index=cells.index)
        wrong = {column: cells[column][values[column].isna() & (cells[column] != "")] for column in cells.columns}
        if columns := [column for column, words in wrong.items() if len(words)]:
            others = pd.concat([wrong[column] for column in columns]).sort_index(kind="stable")
            noun = "columns" if len(columns) > 1 else "column"
            error = ValueError(
                f"Expected 0, 1 or nothing (unknown) in {noun} {quoted_names(columns[:30])} of '{path}' but "
                f"{len(others)} cells hold something else: {describe_words(others)}. Correct or empty these cells."
            )
            found.add(error, "labels")
    return values


def check_image_names(
    names: pd.Series, path: Path, *, relative: bool = False, problems: TableProblems | None = None
) -> pd.Series:
    """Refuse image names that could lead out of the image folders, and names that no file can have.

    Args:
        names: Text, one per row.
        path: The label file, for the message.
        relative: Whether a path below the root is allowed; never an absolute one or one with ``..``.
        problems: Collects what is wrong, instead of an error.

    Returns:
        Whether each name is allowed.

    Raises:
        ValueError: If a name is not allowed.
    """
    with collector(problems) as found:
        unsafe = pd.Series([_is_unsafe(str(name), relative) for name in names], index=names.index, dtype=bool)
        folder = path.parent.absolute()
        reasons = pd.Series([name_problem(str(name), folder) for name in names], index=names.index, dtype=object)
        impossible = ~unsafe & (reasons != "")
        if unsafe.any():
            expected = "paths below the data folder" if relative else "file names without a folder"
            wrong = f"{unsafe.sum()} are not, first {_first_name(names[unsafe])}"
            found.add(
                ValueError(f"Expected {expected} as images in '{path}' but {wrong}. Correct these cells."), "rows"
            )
        if impossible.any():
            wrong = f"{impossible.sum()} are none, first {_first_name(names[impossible])}"
            error = ValueError(
                f"Expected names that files can have as images in '{path}' but {wrong}, which "
                f"{reasons[impossible].iloc[0]}. Correct these cells."
            )
            found.add(error, "rows")
    return ~(unsafe | impossible)


def _first_name(names: pd.Series) -> str:
    """The first of some names, shortened, and its line."""
    return f"'{shorten(str(names.iloc[0]))}' on line {names.index[0] + 2}"


def _is_unsafe(name: str, relative: bool) -> bool:
    return escapes_root(name) or "\\" in name or ("/" in name and not relative)
