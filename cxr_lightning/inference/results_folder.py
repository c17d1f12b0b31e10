"""A folder of results, written image by image, in which an interrupted prediction can be resumed."""

import errno
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from io import FileIO
from itertools import count
from os.path import lexists
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import JsonValue, TypeAdapter

from cxr_lightning.inference.image_files import absolute_path
from cxr_lightning.inference.results import Result, read_result
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.regular_files import open_own, open_regular, read_limited
from cxr_lightning.utils.write_errors import errors_name_file, is_disk_full

RESULTS_FILE, TABLE_FILE, ABOUT_FILE = "results.jsonl", "results.csv", "about.json"
_WRITTEN_LATER = (TABLE_FILE, ABOUT_FILE)
"""Files that are not there before the file of results is, unless they are another program's."""
_MAX_LINE_BYTES = 1 << 20
"""Maximum length of a result's line in bytes; a hundred findings take a hundredth of that."""


_MAX_ABOUT_BYTES = 10_000_000
_ABOUT = TypeAdapter(dict[str, JsonValue])


class ResultsFolder:
    """Results in a folder: a line of JSON per predicted file, and a table of all at the end.

    Args:
        folder: The folder; created if it does not exist.
        about: Provenance of the results: the model's hash, its ``labels`` and settings; plain values.
        resume: Resume in a folder of results with the same provenance; files that are not finished are tried again,
            and their newest result counts.
        finished: Whether a file's result is final; by default, if the file was not rejected.

    Attributes:
        done: The files that are finished, as absolute paths.

    Raises:
        ValueError: If there are results already, or (with ``resume``) of another provenance.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        *,
        resume: bool = False,
        finished: Callable[[Result], bool] = lambda result: not result.rejected,
    ) -> None:
        self.folder = folder
        self.done: set[Path] = set()
        self._labels: list[str] = about["labels"]
        path = folder / RESULTS_FILE
        if lexists(path) and not resume:
            raise ValueError(
                f"Expected no results in '{folder}' yet but there are. Add --resume, or give another --out."
            )
        if not lexists(path) and (others := [name for name in _WRITTEN_LATER if lexists(folder / name)]):
            raise ValueError(
                f"Expected no {others[0]} in '{folder}' without {RESULTS_FILE} but there is one. Give another --out."
            )
        self._file = self._open(path, about)
        if path.stat().st_size:
            self.done = {absolute_path(Path(result.name)) for result in read_results(path) if finished(result)}
            _drop_incomplete_line(self._file)

    def _open(self, path: Path, about: Mapping[str, Any]) -> FileIO:
        """The file of results, after its provenance is compared or written.

        Raises:
            OSError: If there cannot be such a folder or file.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if (self.folder / TABLE_FILE).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{TABLE_FILE} is a folder")
            if lexists(self.folder / ABOUT_FILE) or (lexists(path) and path.lstat().st_size):
                self._check_about(about)
                return open_own(path)
            open_own(path).close()  # first: a start that ends here can be resumed
            with atomic_write_text(self.folder / ABOUT_FILE) as file:
                file.write(json.dumps(about, indent=2) + "\n")
            return open_own(path)
        except OSError as error:
            if error.errno is None or is_disk_full(error):  # with a message that is complete
                raise
            problem = _not_a_folder(self.folder) or f"got: {error.strerror}"
            raise OSError(f"Expected to write results in '{self.folder}' but {problem}. Give another --out.") from error

    def _check_about(self, about: Mapping[str, Any]) -> None:
        try:
            stored = _ABOUT.validate_python(parse_json(read_limited(self.folder / ABOUT_FILE, _MAX_ABOUT_BYTES)))
            different = sorted(key for key in {*stored, *about} if stored.get(key) != about.get(key))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"Expected results to resume in '{self.folder}' but {ABOUT_FILE} is missing or damaged. "
                "Give another --out."
            ) from error
        if different:
            raise ValueError(
                f"Expected results of the same model and settings in '{self.folder}' but these differ: "
                f"{', '.join(different)}. Go on as it was begun, or give another --out."
            )

    def add(self, result: Result) -> None:
        """Append a result to the file at once; where that fails, the file stays as it was."""
        line = result_line(result).encode()
        with errors_name_file(self.folder / RESULTS_FILE):
            end = self._file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[self._file.write(line) :]
            except BaseException:  # a full disk, or a signal
                with suppress(OSError):  # the error that led here is the one to report
                    self._file.truncate(end)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the table, also after an exception, which is then the one to report."""
        with errors_name_file(self.folder / RESULTS_FILE):
            self._file.close()
        with suppress(*(() if error is None else (OSError,))):
            self._write_table()

    def _write_table(self) -> None:
        with atomic_write_text(self.folder / TABLE_FILE) as file:
            table = TableWriter(file)
            header = results_header(self._labels)
            table.writerow(header)
            table.writerows(results_row(result, len(header)) for result in read_results(self.folder / RESULTS_FILE))


def _not_a_folder(folder: Path) -> str:
    """That a folder, or one above it, is something else, as a clause; empty if all may be folders."""
    with suppress(OSError):  # a name that is too long
        nearest = next(place for place in (folder, *folder.parents) if lexists(place))
        kind = "not a folder" if nearest.exists() else "a broken link"
        return "" if nearest.is_dir() else f"'{nearest}' is {kind}"
    return ""


def _drop_incomplete_line(file: FileIO) -> None:
    """Remove an incomplete last line of results. Call :func:`read_results` first: it refuses other files."""
    start = max(0, file.seek(0, os.SEEK_END) - _MAX_LINE_BYTES)
    file.seek(start)
    file.truncate(start + file.read(_MAX_LINE_BYTES).rfind(b"\n") + 1)


def read_results(path: Path) -> Iterator[Result]:
    """The newest result of each file in a ``results.jsonl``; an incomplete last line is skipped.

    Raises:
        ValueError: If it is another file.
    """
    newest = {absolute_path(Path(result.name)): number for number, result in _numbered_results(path)}
    for number, result in _numbered_results(path):
        if newest[absolute_path(Path(result.name))] == number:
            yield result


def _numbered_results(path: Path) -> Iterator[tuple[int, Result]]:
    with open_regular(path) as file:
        for number in count(1):
            line = file.readline(_MAX_LINE_BYTES)
            if not line.endswith(b"\n"):
                if len(line) < _MAX_LINE_BYTES:  # the file's end, or an incomplete last line
                    return
                raise _not_a_result(path, number, f"it is longer than {_MAX_LINE_BYTES:,} bytes")
            try:
                yield number, read_result(line)
            except ValueError as error:
                raise _not_a_result(path, number, str(error)) from error


def _not_a_result(path: Path, number: int, reason: str) -> ValueError:
    return ValueError(
        f"Expected a result in line {number} of '{path}' but it holds something else ({reason}). Delete the line."
    )


def result_line(result: Result) -> str:
    """A result as a line of JSON."""
    return json.dumps(result.to_json(), allow_nan=False) + "\n"


def results_header(labels: Iterable[str]) -> list[str]:
    """The columns of a table of results."""
    kinds = ("prob", "calibrated", "threshold", "above")
    return ["file", "status", "codes", "reasons", *(f"{kind}_{label}" for label in labels for kind in kinds)]


def results_row(result: Result, width: int) -> list[str | float | None]:
    """A result as a row of the table; the cells of undefined numbers are empty, and those of a rejected file.

    Args:
        result: The result.
        width: Number of the table's columns.
    """
    cells: list[str | float | None] = [
        result.name,
        result.status,
        " ".join(flag.code for flag in result.flags),
        "; ".join(flag.message for flag in result.flags),
    ]
    for finding in result.findings:
        above = None if finding.above is None else int(finding.above)
        numbers = (finding.probability, finding.calibrated, finding.threshold)
        cells += [*(None if math.isnan(number) else number for number in numbers), above]
    return [*cells, *[None] * (width - len(cells))]
