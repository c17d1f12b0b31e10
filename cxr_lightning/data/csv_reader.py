"""Strict readers of text tables and image folders: nothing is guessed, shifted or dropped in silence."""

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from cxr_lightning.utils.paths import escapes_root, is_lfs_pointer

_AGE = re.compile(r"(\d{1,3})([YMD]?)")
_YEARS_PER_UNIT = {"": 1.0, "Y": 1.0, "M": 1 / 12, "D": 1 / 365.25}
_MAX_AGE = 120
"""Years; a higher age is taken for an error of the file."""
_TARGET_VALUES = {"": math.nan, "0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}


def read_table(
    path: Path, columns: Sequence[str], *, fix_header: Callable[[list[str]], list[str]] | None = None
) -> pd.DataFrame:
    """Read the named columns of a CSV file as text, with line numbers for later messages.

    Args:
        path: A UTF-8 file whose first line names the columns.
        columns: Names that must be there, each once.
        fix_header: Repairs a header that is known to be malformed.

    Returns:
        One row per line, text without surrounding blanks; the index is the line's number minus 2.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not text, a column is missing or duplicated, or a line has too many or too few fields.
    """
    header, rows = _parse(path)
    header = fix_header(header) if fix_header else header
    columns = list(dict.fromkeys(columns))  # one column may have two uses
    while header and not header[-1]:  # commas at a line's end add nothing
        header.pop()
    for row in rows:
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
    positions = [_column_position(header, column, path) for column in columns]
    wrong = [line for line, row in enumerate(rows) if row and len(row) != len(header)]
    if wrong:
        raise ValueError(
            f"Expected {len(header)} fields on every line of '{path}', as in its header, but {len(wrong)} differ, "
            f"first line {wrong[0] + 2} with {len(rows[wrong[0]])}. Correct the lines or quote fields that hold commas."
        )
    kept = {line: [row[position].strip() for position in positions] for line, row in enumerate(rows) if row}
    return pd.DataFrame.from_dict(kept, orient="index", columns=columns, dtype=object)


def read_header(path: Path) -> list[str]:
    """Read the column names of a CSV file."""
    return _parse(path)[0]


def _parse(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        # newline="" as the csv module asks; utf-8-sig drops the mark that spreadsheets put first.
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"Expected a label file at '{path}' but there is none. {_describe_folder(path)}"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"Expected UTF-8 comma-separated text in '{path}' but it cannot be read ({error}). Export it again as CSV."
        ) from error
    if not lines or not lines[0]:
        raise ValueError(f"Expected text from the first line of '{path}' on but that is empty. Download it again.")
    if is_lfs_pointer(lines[0][0].encode()):
        raise ValueError(f"Expected a table or list in '{path}' but it is a Git-LFS pointer. Run `git lfs pull`.")
    return [name.strip() for name in lines[0]], lines[1:]


def _describe_folder(path: Path) -> str:
    """What the folder of a missing file holds, as a sentence for the error message."""
    if not path.parent.is_dir():
        return f"The folder '{path.parent}' does not exist either: set `data.root`."
    names = sorted(entry.name for entry in path.parent.iterdir())[:5]
    return f"The folder holds {', '.join(names) or 'nothing'}: check `data.root`."


def _column_position(header: list[str], column: str, path: Path) -> int:
    if header.count(column) != 1:
        found = "it is there twice" if column in header else f"the columns are {header[:30]}"
        raise ValueError(
            f"Expected one column '{column}' in '{path}' but {found}. "
            "Correct the header, or name the file's own columns in the `data` settings."
        )
    return header.index(column)


def read_image_list(path: Path) -> list[str]:
    """Read the image names of a split list, one a line.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lists none, or one twice.
    """
    header, rows = _parse(path)
    names = [line[0].strip() for line in [header, *rows] if line and line[0].strip()]
    if len(set(names)) != len(names):
        raise ValueError(
            f"Expected every image once in '{path}' but {len(names) - len(set(names))} are repeated. Download it again."
        )
    return names


def parse_targets(cells: pd.Series, path: Path) -> pd.Series:
    """Convert a label column's text to 1, 0 or NaN (empty: unknown).

    Raises:
        ValueError: If a cell holds anything else; the message names the first one's line.
    """
    values = cells.map(_TARGET_VALUES)
    wrong = cells.index[values.isna() & (cells != "")]
    if len(wrong):
        raise ValueError(
            f"Expected 0, 1 or nothing (unknown) in column '{cells.name}' of '{path}' but {len(wrong)} cells hold "
            f"something else, first {cells[wrong[0]]!r} on line {wrong[0] + 2}. Correct or empty these cells."
        )
    return values.astype("float32")


def parse_age(text: str) -> float:
    """Age in years; NaN if the text holds no age or an impossible one.

    Example:
        >>> parse_age("058Y"), parse_age("57"), parse_age("006M"), parse_age("414")
        (58.0, 57.0, 0.5, nan)
    """
    match = _AGE.fullmatch(text.strip().upper())
    if not match:
        return math.nan
    years = int(match[1]) * _YEARS_PER_UNIT[match[2]]
    return years if years <= _MAX_AGE else math.nan


def index_images(root: Path, folders: Iterable[str] = ("", "images*", "images*/images")) -> dict[str, Path]:
    """Find every file in the image folders, by name; the first folder that holds a name wins.

    Args:
        root: The data set's folder.
        folders: Glob patterns of the folders below it; their subfolders are not searched.
    """
    found: dict[str, Path] = {}
    for pattern in folders:
        for folder in sorted(root.glob(pattern)) if pattern else [root]:
            if folder.is_dir():
                for entry in folder.iterdir():
                    found.setdefault(entry.name, entry)
    return found


def check_image_names(names: pd.Series, path: Path, *, relative: bool = False) -> None:
    """Refuse image names that could lead out of the image folders.

    Args:
        names: Text, one per row.
        path: The label file, for the message.
        relative: Whether a path below the root is allowed; never an absolute one or one with ``..``.

    Raises:
        ValueError: If a name is not allowed.
    """
    wrong = names[[_is_unsafe(str(name), relative) for name in names]]
    if len(wrong):
        expected = "paths below the data folder" if relative else "file names without a folder"
        raise ValueError(
            f"Expected {expected} as images in '{path}' but {len(wrong)} are not, first {wrong.iloc[0]!r} "
            f"on line {wrong.index[0] + 2}. Correct these cells."
        )


def _is_unsafe(name: str, relative: bool) -> bool:
    return escapes_root(name) or "\\" in name or ("/" in name and not relative)
