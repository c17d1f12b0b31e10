"""One folder of results for all processes of a run: which files are left to predict, and who writes what."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import compress, islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from cxr_lightning.inference.result_parts import limit_parts, merge_results
from cxr_lightning.inference.results import Result
from cxr_lightning.inference.results_file import append_result, result_line
from cxr_lightning.inference.results_folder import RESULTS_FILE, ResultsFolder, write_results_table
from cxr_lightning.utils.distributed import global_rank, world_size
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.path_list import PathDigests, PathList
from cxr_lightning.utils.process_files import (
    PROCESSES_FOLDER,
    claim_merge,
    list_parts,
    mark_finished,
    next_start,
    part_path,
    plan_path,
    read_finished,
    remove_files,
)
from cxr_lightning.utils.process_group import decide_in_first
from cxr_lightning.utils.regular_files import open_own, read_limited
from cxr_lightning.utils.run_lock import RUN_LOCK_FILE, RunLock
from cxr_lightning.utils.write_errors import errors_name_file

_MAX_PLAN_BYTES = 200_000_000
"""Maximum size of the file that says which files are left to predict: a bit for each."""
_NUMBERS = TypeAdapter(dict[str, int])


class ResultsPart:
    """Results of one of several processes; the last one to finish merges those of all.

    Args:
        folder: The folder of results.
        labels: The findings, in order.
        paths: All files of the run.
        start: Number of the run's start, as rank 0 has decided.
        lock: Lock that this process holds until it ends.
    """

    def __init__(self, folder: Path, labels: list[str], paths: PathList, start: int, lock: RunLock) -> None:
        self.folder, self._lock = folder, lock
        self._labels, self._paths, self._start = labels, paths, start
        self._processes = folder / PROCESSES_FOLDER
        self._path = part_path(self._processes, start, global_rank())
        self._file = open_own(self._path)

    def add(self, result: Result) -> None:
        """Append a result to the file of this process at once; where that fails, the file stays as it was."""
        with errors_name_file(self._path):
            append_result(self._file, result_line(result).encode())

    def finish(self, counts: Mapping[str, int]) -> dict[str, int] | None:
        """Mark this process as finished; the last one writes the results of all.

        Args:
            counts: Numbers of what this process has done.

        Returns:
            The sums of the numbers of all processes; None unless this is the last one.

        Raises:
            OSError: If the results cannot be written; those of the processes are kept.
        """
        self._file.close()
        mark_finished(self._processes, self._start, dict(counts))
        finished = read_finished(self._processes, self._start)
        if finished is None or not claim_merge(self._processes, self._start):
            return None
        total: Counter[str] = Counter()
        for numbers in finished:
            total.update(_NUMBERS.validate_python(numbers))
        target = self.folder / RESULTS_FILE
        merge_results([target, *list_parts(self._processes)], self._paths, target)
        write_results_table(self.folder, self._labels)
        shutil.rmtree(self._processes, ignore_errors=True)  # what stays is merged again, and changes nothing
        return dict(total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.release()


@dataclass(frozen=True)
class ResultsShard:
    """The shard of the files that one process predicts.

    Attributes:
        results: Where its results go.
        files: Number of the run's files.
        earlier: Number of those that were finished before.
        total: Number of the files to predict of this process.
        listed: All files of the run.
        remaining: For each of them a byte, 1 if it is not finished.
    """

    results: ResultsFolder | ResultsPart
    files: int
    earlier: int
    total: int
    listed: PathList
    remaining: bytes

    def paths(self) -> Iterator[Path]:
        """The files to predict of this process: every ``world_size()``-th remaining file, from this rank on."""
        return map(Path, islice(compress(self.listed.texts(), self.remaining), global_rank(), None, world_size()))


def shard_results(
    folder: Path,
    about: Mapping[str, Any],
    paths: PathList,
    *,
    resume: bool,
    finished: Callable[[Result], bool],
    excluded: Path,
    heatmaps: bool = False,
) -> ResultsShard:
    """Open a folder of results in all processes of the run, and divide the files among them.

    One process appends to the folder's file, unless an earlier run of several was ended: then it, too, writes a part.

    Args:
        folder: The folder; created if it does not exist.
        about: Provenance of the results; see :class:`~cxr_lightning.inference.results_folder.ResultsFolder`.
        paths: The files of the run.
        resume: Resume in a folder of results.
        finished: Whether a file's result is final.
        excluded: Folder whose files are not predicted, such as heat maps of an earlier run.
        heatmaps: Whether heat maps are drawn, which all processes must do or none.

    Raises:
        ValueError: As of ``ResultsFolder``.
        OSError: If the folder cannot be written, another run writes to it, or a process does not start.
    """
    processes = folder / PROCESSES_FOLDER
    lock: RunLock | None = None

    def open_folder() -> tuple[ResultsFolder, int, NDArray[np.bool_]]:
        results = ResultsFolder(folder, about, resume=resume, finished=finished)
        chosen = _not_below(paths, excluded)
        return results, int(chosen.sum()), chosen & _not_done(paths, results.done)

    def write_plan(results: ResultsFolder, files: int, remaining: NDArray[np.bool_]) -> str:
        nonlocal lock
        lock = results.lock
        results.close()
        limit_parts(processes, paths)
        plan = {"start": next_start(processes), "files": files}
        with atomic_write_bytes(plan_path(processes, plan["start"])) as file:
            file.write(np.packbits(remaining).tobytes())
        return json.dumps(plan)

    if world_size() == 1:
        results, files, remaining = open_folder()
        if not results.parts:
            remove_files(processes)
            return _shard(results, files, paths, remaining)
        plan = write_plan(results, files, remaining)
    else:
        inputs = json.dumps([paths.digest, about, resume, heatmaps], sort_keys=True).encode()
        plan = decide_in_first(processes, sha256(inputs).hexdigest(), lambda: write_plan(*open_folder()))
    numbers = _NUMBERS.validate_python(parse_json(plan))
    if lock is None:
        lock = RunLock(processes, f"{RUN_LOCK_FILE}-{numbers['start']:06}-{global_rank():06}")
        lock.acquire()
    bits = np.frombuffer(read_limited(plan_path(processes, numbers["start"]), _MAX_PLAN_BYTES), dtype=np.uint8)
    remaining = np.unpackbits(bits, count=len(paths)).astype(np.bool_)
    part = ResultsPart(folder, about["labels"], paths, numbers["start"], lock)
    return _shard(part, numbers["files"], paths, remaining)


def _shard(
    results: ResultsFolder | ResultsPart, files: int, paths: PathList, remaining: NDArray[np.bool_]
) -> ResultsShard:
    left = int(remaining.sum())
    own = len(range(global_rank(), left, world_size()))
    return ResultsShard(
        results, files=files, earlier=files - left, total=own, listed=paths, remaining=remaining.tobytes()
    )


def _not_below(paths: PathList, folder: Path) -> NDArray[np.bool_]:
    """Which paths are not in a folder, ``(N,)``."""
    if not folder.is_dir():
        return np.ones(len(paths), dtype=np.bool_)
    start = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118
    return np.fromiter((not os.path.abspath(path).startswith(start) for path in paths.texts()), np.bool_)  # noqa: PTH100


def _not_done(paths: PathList, done: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which paths are not among those of some digests, ``(N,)``."""
    if not len(done):
        return np.ones(len(paths), dtype=np.bool_)
    digests = PathDigests()
    for path in paths.texts():
        digests.append(path)
    return ~np.isin(digests.array, done)
