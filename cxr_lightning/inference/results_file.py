"""Lines of a file of results, and rows of their table."""

import json
import math
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import FileIO
from itertools import compress, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.inference.results import Result, read_result
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.path_list import PathDigests, is_last
from cxr_lightning.utils.regular_files import open_regular

MAX_RESULT_BYTES = 1 << 20
"""Maximum length of a result's line in bytes; a hundred findings take a hundredth of that."""
_FILE = re.compile(rb'\{"file": ("(?:[^"\\]|\\.)*"), "status": "')
"""Start of a line as this package writes it."""


class ResultIndex:
    """Which files have results, where these are, and whether they are final, in about 30 bytes for each.

    Attributes:
        digests: Of the files, a digest for each result.
        sources: For each result, the number of its file of results, in the order in which they were read.
        offsets: For each result, where its line begins there.
    """

    def __init__(self) -> None:
        self.digests = PathDigests()
        self.sources, self.offsets = array("l"), array("q")
        self._finished = bytearray()
        self._num_sources = 0

    def read(self, path: Path, finished: Callable[[Result], bool] | None = None) -> None:
        """Add the results of a file, which are newer than those before.

        Args:
            path: A file of results.
            finished: Whether a file's result is final; None to read no more of each result than its file, which takes a
                tenth of the time.

        Raises:
            ValueError: If it is another file.
        """
        for number, offset, line in _numbered_lines(path):
            if finished is None and (named := _FILE.match(line)):
                self.digests.append(str(parse_json(named[1])))
                self._finished.append(False)
            else:
                result = _parse(path, number, line)
                self.digests.append(result.name)
                self._finished.append(finished is not None and finished(result))
            self.sources.append(self._num_sources)
            self.offsets.append(offset)
        self._num_sources += 1

    def newest(self) -> NDArray[np.bool_]:
        """Which results are the newest of their files, ``(N,)``."""
        return is_last(self.digests.array)

    def finished(self) -> NDArray[np.bytes_]:
        """Digests of the files whose newest results are final."""
        return self.digests.array[self.newest() & np.frombuffer(bytes(self._finished), dtype=np.bool_)]


def append_result(file: FileIO, line: bytes) -> None:
    """Append a line at once; where that fails, the file stays as it was."""
    end = file.seek(0, os.SEEK_END)
    try:
        while line:
            line = line[file.write(line) :]
    except BaseException:  # a full disk, or a signal
        with suppress(OSError):  # the error that led here is the one to report
            file.truncate(end)
        raise


def drop_incomplete_line(file: FileIO) -> None:
    """Remove an incomplete last line of results. Read them first: that refuses other files."""
    start = max(0, file.seek(0, os.SEEK_END) - MAX_RESULT_BYTES)
    file.seek(start)
    file.truncate(start + file.read(MAX_RESULT_BYTES).rfind(b"\n") + 1)


def read_results(path: Path) -> Iterator[Result]:
    """The newest result of each file in a ``results.jsonl``; an incomplete last line is skipped.

    Raises:
        ValueError: If it is another file.
    """
    index = ResultIndex()
    index.read(path)
    for number, _, line in compress(_numbered_lines(path), index.newest().tolist()):
        yield _parse(path, number, line)


def _numbered_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and content of each line."""
    offset = 0
    with open_regular(path) as file:
        for number in count(1):
            line = file.readline(MAX_RESULT_BYTES)
            if not line.endswith(b"\n"):
                if len(line) < MAX_RESULT_BYTES:  # the file's end, or an incomplete last line
                    return
                raise _not_a_result(path, number, f"it is longer than {MAX_RESULT_BYTES:,} bytes")
            yield number, offset, line
            offset += len(line)


def _parse(path: Path, number: int, line: bytes) -> Result:
    try:
        return read_result(line)
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
