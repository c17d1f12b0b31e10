"""A folder of results that grows file by file, and goes on where it was stopped."""

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cxr_lightning.inference.image_files import absolute
from cxr_lightning.inference.results import Result, result_of
from cxr_lightning.report.metrics_table import escaped
from cxr_lightning.utils.io import atomic_write_text

RESULTS_FILE, TABLE_FILE, ABOUT_FILE = "results.jsonl", "results.csv", "about.json"
_LONGEST_LINE = 1 << 20
"""Of a result, in bytes; a hundred findings take a hundredth of it."""


class ResultsFolder:
    """Results in a folder: a line of JSON per file as it is done, and a table of all at the end.

    Args:
        folder: Made if it is not there.
        about: How the results are made: the model's hash, its ``labels`` and settings; plain values.
        resume: Go on in a folder that has results made in the same way; what is not finished is tried again, and what
            came of that counts.
        finished: Whether nothing is left to do for a file; by default, all that were not rejected.

    Attributes:
        done: The files that are finished, as absolute paths.

    Raises:
        ValueError: If there are results already, or (with ``resume``) made in another way.
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
        if path.exists() and not resume:
            raise ValueError(
                f"Expected no results in '{folder}' yet but there are. Add --resume, or give another --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._check_about(about)
            _drop_torn_line(path)
            self.done = {absolute(result.path) for result in read_results(path) if finished(result)}
        else:
            with atomic_write_text(folder / ABOUT_FILE) as file:
                file.write(json.dumps(about, indent=2) + "\n")
        self._file = path.open("a", encoding="utf-8")

    def _check_about(self, about: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.folder / ABOUT_FILE).read_text(encoding="utf-8"))
            different = sorted(key for key in {*before, *about} if before.get(key) != about.get(key))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"Expected to go on in '{self.folder}' but its {ABOUT_FILE} is gone or damaged. Give another --out."
            ) from error
        if different:
            raise ValueError(
                f"Expected results of the same model and settings in '{self.folder}' but these differ: "
                f"{', '.join(different)}. Go on as it was begun, or give another --out."
            )

    def add(self, result: Result) -> None:
        """Write one; it stays whatever happens next."""
        self._file.write(as_line(result))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the table, also of what was done before a fault."""
        self._file.close()
        with atomic_write_text(self.folder / TABLE_FILE, errors="backslashreplace") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(table_header(self._labels))
            table.writerows(map(table_row, read_results(self.folder / RESULTS_FILE)))


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that was not finished."""
    with path.open("rb+") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE)
        file.seek(start)
        file.truncate(start + file.read().rfind(b"\n") + 1)


def read_results(path: Path) -> Iterator[Result]:
    """The results in a ``results.jsonl``, of each file the newest; a last line that was not finished is passed over.

    Raises:
        ValueError: If it is another file.
    """
    newest = {absolute(result.path): number for number, result in _lines(path)}
    for number, result in _lines(path):
        if newest[absolute(result.path)] == number:
            yield result


def _lines(path: Path) -> Iterator[tuple[int, Result]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield number, result_of(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"Expected a result in line {number} of '{path}' but it is none. Delete the line."
                ) from error


def as_line(result: Result) -> str:
    """A result as a line of JSON."""
    return json.dumps(result.record(), allow_nan=False) + "\n"


def table_header(labels: Iterable[str]) -> list[str]:
    """The columns of a table of results."""
    kinds = ("prob", "calibrated", "threshold", "above")
    return ["file", "status", "codes", "reasons", *(f"{kind}_{label}" for label in labels for kind in kinds)]


def table_row(result: Result) -> list[str]:
    """A result as a row of the table; cells of what is not defined are empty."""
    cells = [
        escaped(str(result.path)),
        result.status,
        " ".join(remark.code for remark in result.remarks),
        "; ".join(remark.message for remark in result.remarks),
    ]
    for finding in result.findings:
        above = "" if finding.above is None else str(int(finding.above))
        numbers = (finding.probability, finding.calibrated, finding.threshold)
        cells += ["" if math.isnan(number) else repr(number) for number in numbers] + [above]
    return cells
