"""The rows of a text table, one after another, within bounds that the largest known data sets stay far below.

Of those, MIMIC-CXR has 377,110 images, CheXpert 224,316, PadChest 160,868 and NIH ChestX-ray14 112,120; none of their
label files has 200 MB.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from io import BufferedReader, RawIOBase, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.regular_files import check_file_size, open_regular

MAX_TABLE_BYTES = 1 << 29
MAX_LINE_CHARACTERS = 4_000_000
MAX_COLUMNS, MAX_ROWS, MAX_CELLS = 5_000, 1_000_000, 20_000_000
_DELIMITERS = (",", ";", "\t", "|")
"""Characters between cells that are recognized without a line that names them."""
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\s*', re.IGNORECASE)
"""First line with which spreadsheets name the character between cells."""
_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_32 = b"\xff\xfe\0\0"
"""Marks at the start of text in UTF-16, as spreadsheets write it, and in UTF-32."""


class TableTooLargeError(ValueError):
    """A table beyond one of the bounds; the message is a clause."""


class DamagedTableError(ValueError):
    """A compressed table that cannot be decompressed; the message is a clause."""


def csv_rows(path: Path, columns: Collection[str] | None = ()) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of the line that it begins on.

    Cells are separated by what a first line ``sep=`` names, else by the comma, semicolon, tab or vertical bar that
    gives the most of the columns.

    Args:
        path: A file in UTF-8, UTF-16 or, with a mark of that, UTF-32; as it is or compressed by gzip.
        columns: Names of columns that the first row may have; None for a list, whose cells commas alone separate.

    Raises:
        TableTooLargeError: If it has too many rows, columns or cells, or too long a line.
        FileTooLargeError: If it has too many bytes.
        NotRegularFileError: If it is a pipe, a socket or a device.
        DamagedTableError: If it is compressed and cannot be decompressed.
        csv.Error: If it is no CSV; UnicodeDecodeError if it is no text; OSError if it cannot be read.
    """
    check_file_size(path, MAX_TABLE_BYTES)
    try:
        with _open_text(path) as file:
            yield from _rows(_bounded_lines(file), columns)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedTableError(f"it cannot be decompressed ({error})") from error


def _open_text(path: Path) -> TextIOWrapper:
    content = open_regular(path)
    try:
        if content.peek(2).startswith(_GZIP):
            archive = gzip.GzipFile(fileobj=content)
            archive.myfileobj = cast(Any, content)  # which it closes then, as gzip.open has it
            content = BufferedReader(cast(RawIOBase, archive))
        encoding = _encoding(content.peek(4)[:4])
    except BaseException:
        content.close()
        raise
    # newline="" as the csv module asks; utf-8-sig drops the mark that spreadsheets put first.
    return TextIOWrapper(content, encoding=encoding, newline="")


def _encoding(head: bytes) -> str:
    """The encoding by the first four bytes, of which the first character of a table is in ASCII or a mark."""
    if head.startswith(_UTF_16):
        return "utf-32" if head == _UTF_32 else "utf-16"
    empty = [byte == 0 for byte in head]
    if empty == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if empty == [True, False, True, False] else "utf-8-sig"


def _rows(lines: Iterator[str], columns: Collection[str] | None) -> Iterator[tuple[int, list[str]]]:
    first, skipped = next(lines, ""), 0
    if named := _SEPARATOR_LINE.fullmatch(first):
        delimiter, first, skipped = named[1], next(lines, ""), 1
    else:
        delimiter = "," if columns is None else _best_delimiter(first, columns)
    yield from _bounded_rows(chain([first] if first else [], lines), delimiter, skipped)


def _best_delimiter(line: str, columns: Collection[str]) -> str:
    """The delimiter that gives the most of the columns; of several the one that gives the most cells."""

    def score(delimiter: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error:  # such as a quoted cell that another character follows
            return 0, 0
        return len({cell.strip() for cell in cells}.intersection(columns)), len(cells)

    return max(_DELIMITERS, key=score)


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
        if total > MAX_TABLE_BYTES:  # a file that states no size, or is compressed
            raise TableTooLargeError(f"it has more than {MAX_TABLE_BYTES:,} characters")
        yield line


def _bounded_rows(lines: Iterator[str], delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, whose first line is the one after some that are skipped."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    cells, number, line = 0, 0, skipped + 1
    try:
        for row in reader:
            cells += len(row)
            if number > MAX_ROWS:
                raise TableTooLargeError(f"it has more than {MAX_ROWS:,} rows")
            if number == 0 and len(row) > MAX_COLUMNS:
                raise TableTooLargeError(f"it has {len(row):,} columns, more than {MAX_COLUMNS:,}")
            if cells > MAX_CELLS:
                raise TableTooLargeError(f"it has more than {MAX_CELLS:,} cells")
            yield line, row
            number += 1
            line = reader.line_num + skipped + 1  # a row may be of several lines
    except csv.Error as error:
        hint = "a quotation mark is not closed" if "unexpected end" in str(error) else str(error)
        raise csv.Error(f"in the row that begins on line {line}, {hint}") from error
