"""Strict readers of text tables: nothing is guessed, shifted or dropped in silence."""

import csv
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from cxr_lightning.data.csv_columns import column_error, spelled_as
from cxr_lightning.data.csv_rows import DamagedTableError, TableTooLargeError, csv_rows
from cxr_lightning.data.table_problems import TableProblems, collector
from cxr_lightning.imaging.other_kinds import other_kind, with_article
from cxr_lightning.imaging.signatures import SIGNATURE_BYTES, image_format, is_image
from cxr_lightning.utils.paths import file_problem, is_lfs_pointer
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.regular_files import FileTooLargeError, NotRegularFileError, open_regular

_LIST_HEADERS = frozenset({"image index", "image", "image_id", "imageid", "filename", "file", "file_name", "name"})
"""What the first line of a list may hold instead of a name."""
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


def read_table(
    path: Path,
    columns: Sequence[str],
    *,
    optional: Collection[str] = (),
    fix_header: Callable[[list[str]], list[str]] | None = None,
    settings: Mapping[str, str] = _NO_SETTINGS,
    is_download: bool = False,
    problems: TableProblems | None = None,
) -> pd.DataFrame:
    """Read the named columns of a text table, with line numbers for later messages.

    Args:
        path: A file as :func:`~cxr_lightning.data.csv_rows.csv_rows` reads it, whose first row names the columns.
        columns: Names that must be there, each once.
        optional: Those of them that may be absent.
        fix_header: Repairs a header that is known to be malformed.
        settings: Settings that name the columns, by column, for the messages; the one that names the file is ``""``.
        is_download: Whether the file is one that users download, with names of columns that no setting gives.
        problems: Collects what is wrong, instead of an error; columns and lines that cannot be used are left out.

    Returns:
        The columns that are there, text without surrounding blanks; the index is the line's number minus 2.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not text, a column is missing or duplicated, or a line has too many or too few fields.
    """
    with collector(problems) as found:
        columns = list(dict.fromkeys(columns))  # one column may have two uses
        table = pd.DataFrame(dtype=object)
        with found.collected():
            table = _read_columns(path, columns, frozenset(optional), fix_header, settings, is_download, found)
    return table


def _read_columns(
    path: Path,
    columns: Sequence[str],
    optional: frozenset[str],
    fix_header: Callable[[list[str]], list[str]] | None,
    settings: Mapping[str, str],
    is_download: bool,
    problems: TableProblems,
) -> pd.DataFrame:
    with closing(_parse(path, settings.get("", ""), columns)) as rows:
        _, first = next(rows)
        header = fix_header(first) if fix_header else first
        while header and not header[-1]:  # commas at a line's end add nothing
            header.pop()
        header = spelled_as(columns, header) if is_download else header
        counts = Counter(header)
        positions = {name: position for position, name in enumerate(header) if counts[name] == 1}
        positions = {column: positions[column] for column in columns if column in positions}
        expected = [column for column in columns if counts[column] or column not in optional]
        if len(positions) < len(expected):
            problems.add(column_error(header, expected, path, settings, is_download))
        return _read_cells(rows, positions, len(header), path, problems)


def _read_cells(
    rows: Iterable[tuple[int, list[str]]],
    positions: Mapping[str, int],
    width: int,
    path: Path,
    problems: TableProblems,
) -> pd.DataFrame:
    """The columns at some positions of the rows that have a table's width."""
    cells: dict[str, list[str]] = {column: [] for column in positions}
    places = [(cells[column].append, position) for column, position in positions.items()]
    lines, wrong = [], [0, 0, 0]  # number of lines that differ, the first one, and its number of fields
    known: dict[str, str] = {}  # one text for equal cells: most are
    for line, row in rows:
        while len(row) > width and not row[-1].strip():
            row.pop()
        if not row:
            continue
        if len(row) != width:
            wrong = [wrong[0] + 1, *(wrong[1:] if wrong[0] else (line, len(row)))]
            continue
        lines.append(line - 2)
        for append, position in places:
            text = row[position].strip()
            append(known.setdefault(text, text))
    if wrong[0]:
        error = ValueError(
            f"Expected {width} fields on every line of '{path}', as in its header, but {wrong[0]} differ, "
            f"first line {wrong[1]} with {wrong[2]}. Correct the lines or quote fields that hold the character between "
            "fields."
        )
        problems.add(error, "rows")
    return pd.DataFrame(cells, index=lines, columns=list(positions), dtype=object)


def read_header(path: Path, setting: str = "", columns: Collection[str] = ()) -> list[str]:
    """Read the column names of a text table.

    Args:
        path: The table.
        setting: The setting that names it, for the messages.
        columns: Columns that it may have, by which the character between cells is recognized.
    """
    with closing(_parse(path, setting, columns)) as rows:
        return next(rows)[1]


def _parse(
    path: Path, setting: str = "", columns: Collection[str] | None = ()
) -> Generator[tuple[int, list[str]], None, None]:
    """The line's number and the cells of each row, of which there is at least one; see :func:`read_header`."""
    try:
        rows = csv_rows(path, columns)
        line, header = next(rows, (0, []))
        if not header:
            raise ValueError(f"Expected text from the first line of '{path}' on but that is empty. Download it again.")
        if is_lfs_pointer(header[0].encode()):
            raise ValueError(f"Expected a table or list in '{path}' but it is a Git-LFS pointer. Run `git lfs pull`.")
        if header[0].lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
            raise ValueError(f"Expected a table or list in '{path}' but it is a web page. Download the file itself.")
        yield line, [name.strip() for name in header]
        yield from rows
    except (FileNotFoundError, NotADirectoryError):
        found = file_problem(path) if path.is_symlink() else "there is none"
        raise FileNotFoundError(
            f"Expected a label file at '{path}' but {found}. {_describe_folder(path, setting)}"
        ) from None
    except IsADirectoryError:
        advice = f"Set `{setting}` to the name of a file" if setting else "Put a file there"
        raise ValueError(f"Expected a file at '{path}' but that is a folder. {advice}.") from None
    except (NotRegularFileError, FileTooLargeError) as error:
        raise ValueError(f"Expected a table or list in '{path}' but {error.strerror}. Correct its name.") from None
    except TableTooLargeError as error:
        raise ValueError(
            f"Expected a table in '{path}' but {error}. Use the part of it that has the images and labels."
        ) from None
    except DamagedTableError as error:
        raise ValueError(f"Expected a table or list in '{path}' but {error}. Get it again.") from error
    except OSError as error:
        raise OSError(f"Expected a file at '{path}' but it cannot be read ({error.strerror}). Check it.") from error
    except (UnicodeError, csv.Error) as error:
        kind = _kind_of(path)
        found = f"it is {with_article(kind)}" if kind else f"it cannot be read: {error}"
        raise ValueError(
            f"Expected text in UTF-8, with commas, semicolons or tabs between cells, in '{path}' but {found}. "
            f"{'Name another file, or export' if kind else 'Export'} it again as CSV in UTF-8."
        ) from error


def _kind_of(path: Path) -> str:
    """What a file is that is no text, by its first bytes; empty if they do not tell."""
    try:
        with open_regular(path) as file:
            head = file.read(SIGNATURE_BYTES)
    except OSError:  # it has just been removed
        return ""
    if is_image(head):
        return f"{image_format(head) or 'DICOM'} image"
    kind = other_kind(head)
    return "" if kind in ("CSV table", "text file") else kind


def _describe_folder(path: Path, setting: str) -> str:
    """What the folder of a missing file holds, as a sentence for the error message."""
    settings = f"`data.root` and `{setting}`" if setting else "`data.root`"
    if not path.parent.is_dir():
        return f"The folder '{path.parent}' does not exist either: set {settings}."
    names = sorted(entry.name for entry in path.parent.iterdir())[:5]
    return f"The folder holds {', '.join(names) or 'nothing'}: check {settings}."


def read_image_list(path: Path, problems: TableProblems | None = None) -> list[str]:
    """Read the image names of a split list, one a line.

    Args:
        path: The list.
        problems: Collects what is wrong with the names, instead of an error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lists none, or one twice.
    """
    with collector(problems) as found:
        rows = [(line, row[0].strip() if row else "") for line, row in _parse(path, columns=None)]
        if rows[0][1].casefold() in _LIST_HEADERS:
            del rows[0]
        names = pd.Series([name for _, name in rows], index=[line for line, _ in rows], dtype=object)
        names = names[names != ""]
        again = names[names.duplicated()]
        if len(again):
            found.add(
                ValueError(
                    f"Expected every image once in '{path}' but {len(again)} are repeated, first "
                    f"'{shorten(again.iloc[0])}' on line {again.index[0]}. Download it again."
                )
            )
    return list(dict.fromkeys(names))
