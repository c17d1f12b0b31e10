"""The rows of a CSV file, one after another, within bounds that the largest known data sets stay far below.

Of those, MIMIC-CXR has 377,110 images, CheXpert 224,316, PadChest 160,868 and NIH ChestX-ray14 112,120; none of their
label files has 200 MB.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.regular_files import check_file_size, open_regular

MAX_TABLE_BYTES = 1 << 29
MAX_LINE_CHARACTERS = 4_000_000
MAX_COLUMNS, MAX_ROWS, MAX_CELLS = 5_000, 1_000_000, 20_000_000


class TableTooLargeError(ValueError):
    """A table beyond one of the bounds; the message is a clause."""


def csv_rows(path: Path) -> Iterator[list[str]]:
    """The cells of each line.

    Args:
        path: A UTF-8 file.

    Raises:
        TableTooLargeError: If it has too many rows, columns or cells, or too long a line.
        FileTooLargeError: If it has too many bytes.
        NotRegularFileError: If it is a pipe, a socket or a device.
        csv.Error: If it is no CSV; UnicodeDecodeError if it is no text; OSError if it cannot be read.
    """
    check_file_size(path, MAX_TABLE_BYTES)
    # newline="" as the csv module asks; utf-8-sig drops the mark that spreadsheets put first.
    with TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
        yield from _bounded_rows(csv.reader(_bounded_lines(file), strict=True))


def first_header_line(path: Path) -> str:
    """The first line of a text file without blanks at its ends; raises as :func:`csv_rows` does."""
    with TextIOWrapper(open_regular(path), encoding="utf-8-sig") as file:
        return next(_bounded_lines(file), "").strip()


def table_digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The sha256 of each table's bytes, by name, without those that are not there or too large to be read.

    Args:
        files: Tables by name.
    """
    readable = {name: path for name, path in files.items() if not file_problem(path)}
    return {name: file_sha256(path) for name, path in readable.items() if path.stat().st_size <= MAX_TABLE_BYTES}


def _bounded_lines(file: TextIO) -> Iterator[str]:
    total = 0
    while line := file.readline(MAX_LINE_CHARACTERS + 1):
        total += len(line)
        if len(line) > MAX_LINE_CHARACTERS:
            raise TableTooLargeError(f"a line has more than {MAX_LINE_CHARACTERS:,} characters")
        if total > MAX_TABLE_BYTES:  # a file that states no size
            raise TableTooLargeError(f"it has more than {MAX_TABLE_BYTES:,} characters")
        yield line


def _bounded_rows(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    cells = 0
    for number, row in enumerate(rows):
        cells += len(row)
        if number > MAX_ROWS:
            raise TableTooLargeError(f"it has more than {MAX_ROWS:,} rows")
        if number == 0 and len(row) > MAX_COLUMNS:
            raise TableTooLargeError(f"it has {len(row):,} columns, more than {MAX_COLUMNS:,}")
        if cells > MAX_CELLS:
            raise TableTooLargeError(f"it has more than {MAX_CELLS:,} cells")
        yield row
