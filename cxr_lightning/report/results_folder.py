"""A folder of results that grows file by file, and goes on where it was stopped."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from cxr_lightning.report.metrics_table import escaped
from cxr_lightning.serving.results import Result, result_of

RESULTS_FILE, TABLE_FILE, ABOUT_FILE = "results.jsonl", "results.csv", "about.json"


class ResultsFolder:
    """Results in a folder: a line of JSON per file as it is done, and a table of all at the end.

    Args:
        folder: Made if it is not there.
        about: How the results are made: the model's hash and settings; plain values.
        resume: Go on in a folder that has results made in the same way; files that were rejected are tried again.

    Attributes:
        done: The files that have a result already.

    Raises:
        ValueError: If there are results already, or (with ``resume``) made in another way.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], *, resume: bool = False) -> None:
        self.folder = folder
        self.done: set[str] = set()
        path = folder / RESULTS_FILE
        if path.exists() and not resume:
            raise ValueError(
                f"Expected no results in '{folder}' yet but there are. Add --resume, or give another --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._check_about(about)
            self.done = self._keep_usable(path)
        (folder / ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def _check_about(self, about: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.folder / ABOUT_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"Expected to go on in '{self.folder}' but its {ABOUT_FILE} is gone or damaged. Give another --out."
            ) from error
        if different := sorted(key for key in {*before, *about} if before.get(key) != about.get(key)):
            raise ValueError(
                f"Expected results of the same model and settings in '{self.folder}' but these differ: "
                f"{', '.join(different)}. Give another --out."
            )

    @staticmethod
    def _keep_usable(path: Path) -> set[str]:
        """Drop rejected files' lines, and one that was torn."""
        unfinished = path.with_suffix(".tmp")
        done = set()
        with unfinished.open("w", encoding="utf-8") as file:
            for result in read_results(path):
                if not result.rejected:
                    done.add(str(result.path))
                    file.write(as_line(result))
        unfinished.replace(path)
        return done

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
        unfinished = self.folder / f"{TABLE_FILE}.tmp"
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            write_table(read_results(self.folder / RESULTS_FILE), file)
        unfinished.replace(self.folder / TABLE_FILE)


def read_results(path: Path) -> Iterator[Result]:
    """The results in a ``results.jsonl``; a last line that was not finished is passed over.

    Raises:
        ValueError: If it is another file.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                yield result_of(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"Expected a result in line {number} of '{path}' but it is none. Delete the line."
                ) from error


def write_table(results: Iterable[Result], file: TextIO) -> None:
    """Write results as CSV, a row per file; cells of what is not defined are empty.

    The columns are those of the first result that has findings.
    """
    writer = csv.writer(file, lineterminator="\n")
    waiting: list[Result] = []
    labels: list[str] | None = None
    for result in results:
        waiting.append(result)
        if labels is None and result.findings:
            labels = [finding.label for finding in result.findings]
            writer.writerow(_header(labels))
        if labels is not None:
            writer.writerows(map(_row, waiting))
            waiting = []
    if labels is None:
        writer.writerow(_header([]))
    writer.writerows(map(_row, waiting))


def as_line(result: Result) -> str:
    """A result as a line of JSON."""
    return json.dumps(result.record(), allow_nan=False) + "\n"


def _header(labels: Iterable[str]) -> list[str]:
    kinds = ("prob", "calibrated", "threshold", "above")
    return ["file", "status", "codes", "reasons", *(f"{kind}_{label}" for label in labels for kind in kinds)]


def _row(result: Result) -> list[str]:
    cells = [
        escaped(str(result.path)),
        result.status,
        " ".join(remark.code for remark in result.remarks),
        "; ".join(remark.words for remark in result.remarks),
    ]
    for finding in result.findings:
        above = "" if finding.above is None else str(int(finding.above))
        numbers = (finding.probability, finding.calibrated, finding.threshold)
        cells += ["" if math.isnan(number) else repr(number) for number in numbers] + [above]
    return cells
