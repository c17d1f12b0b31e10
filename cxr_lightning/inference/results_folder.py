"""A folder of results, written image by image, in which an interrupted prediction can be resumed."""

import errno
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from io import FileIO
from os.path import lexists
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import JsonValue, TypeAdapter

from cxr_lightning.inference.results import Result
from cxr_lightning.inference.results_file import (
    ResultIndex,
    append_result,
    drop_incomplete_line,
    read_results,
    result_line,
    results_header,
    results_row,
)
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.io import atomic_write_text, remove_temporary_files
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.process_files import PROCESSES_FOLDER, list_parts
from cxr_lightning.utils.regular_files import open_own, read_limited
from cxr_lightning.utils.run_lock import RunLock, refuse_locked
from cxr_lightning.utils.write_errors import errors_name_file, is_disk_full

RESULTS_FILE, TABLE_FILE, ABOUT_FILE = "results.jsonl", "results.csv", "about.json"
_WRITTEN_LATER = (TABLE_FILE, ABOUT_FILE)
"""Files that are not there before the file of results is, unless they are another program's."""
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
        labels: The findings, in order.
        done: Digests of the files that are finished.
        parts: Files of results that several processes have left which were ended; they are newer than the others.
        lock: Lock of the folder, which is held until the end of the run.

    Raises:
        ValueError: If there are results already, or (with ``resume``) of another provenance.
        OSError: If another run writes to the folder, or it cannot be written.
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
        self.labels: list[str] = about["labels"]
        processes = folder / PROCESSES_FOLDER
        self.lock = RunLock(processes)
        refuse_locked(processes)
        self.parts = list_parts(processes)
        path = folder / RESULTS_FILE
        if (lexists(path) or self.parts) and not resume:
            raise ValueError(
                f"Expected no results in '{folder}' yet but there are. Add --resume, or give another --out."
            )
        if not lexists(path) and (others := [name for name in _WRITTEN_LATER if lexists(folder / name)]):
            raise ValueError(
                f"Expected no {others[0]} in '{folder}' without {RESULTS_FILE} but there is one. Give another --out."
            )
        with ExitStack() as unless_opened:
            unless_opened.callback(self.lock.release)
            self._file = self._open(path, about)
            self.parts = list_parts(processes)  # another run may have ended just before the lock was acquired
            remove_temporary_files(folder)
            index = ResultIndex()
            for source in (path, *self.parts):
                index.read(source, finished)
            self.done = index.finished()
            drop_incomplete_line(self._file)
            unless_opened.pop_all()

    def _open(self, path: Path, about: Mapping[str, Any]) -> FileIO:
        """The file of results, after its provenance is compared or written.

        Raises:
            OSError: If there cannot be such a folder or file.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
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
        with errors_name_file(self.folder / RESULTS_FILE):
            append_result(self._file, result_line(result).encode())

    def finish(self, counts: Mapping[str, int]) -> dict[str, int] | None:
        """The numbers of all processes of the run, of which this one is the only one."""
        return dict(counts)

    def close(self) -> None:
        """Close the file of results."""
        with errors_name_file(self.folder / RESULTS_FILE):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the table, also after an exception, which is then the one to report."""
        with ExitStack() as at_end:
            at_end.callback(self.lock.release)
            self.close()
            with suppress(*(() if error is None else (OSError,))):
                write_results_table(self.folder, self.labels)


def write_results_table(folder: Path, labels: Sequence[str]) -> None:
    """Write the table of all results in a folder.

    Args:
        folder: The folder.
        labels: The findings, in order.
    """
    with atomic_write_text(folder / TABLE_FILE) as file:
        table = TableWriter(file)
        header = results_header(labels)
        table.writerow(header)
        table.writerows(results_row(result, len(header)) for result in read_results(folder / RESULTS_FILE))


def _not_a_folder(folder: Path) -> str:
    """That a folder, or one above it, is something else, as a clause; empty if all may be folders."""
    with suppress(OSError):  # a name that is too long
        nearest = next(place for place in (folder, *folder.parents) if lexists(place))
        kind = "not a folder" if nearest.exists() else "a broken link"
        return "" if nearest.is_dir() else f"'{nearest}' is {kind}"
    return ""
