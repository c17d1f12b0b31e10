"""Files that the processes of a run leave for each other in one folder, by the number of the run's start.

Every start has new names, so that nothing of an earlier one, which may have been killed, is written to.
"""

import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cxr_lightning.utils.distributed import global_rank, world_size
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.process_group import MAX_WAIT_SECONDS, ProcessesError, poll
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.run_lock import RUN_LOCK_FILE

PROCESSES_FOLDER = ".processes"
"""Folder of these files, within the folder of the run's results."""
_NAME = re.compile(r"(part|plan|finished)-(\d{6})(-\d{6})?(\.jsonl)?")
_MAX_BYTES = 100_000_000
_MAX_SILENCE_SECONDS = 600.0
"""Maximum time for which a process may write nothing before it is given up."""
_VALUES = TypeAdapter(dict[str, object])


def next_start(folder: Path) -> int:
    """Number of a start of which there are no files in a folder."""
    found = (_NAME.fullmatch(path.name) for path in folder.glob("*-*"))
    return 1 + max((int(match[2]) for match in found if match), default=0)


def plan_path(folder: Path, start: int) -> Path:
    """File in which rank 0 writes what is to be done."""
    return folder / f"plan-{start:06}"


def part_path(folder: Path, start: int, rank: int) -> Path:
    """File of what one process has done."""
    return folder / f"part-{start:06}-{rank:06}.jsonl"


def list_parts(folder: Path) -> list[Path]:
    """The files of what processes have done, those of the earliest start first."""
    if not os.path.isdir(folder):  # noqa: PTH112  # a Path raises an error where a name is too long
        return []
    return sorted(path for path in folder.glob("part-*.jsonl") if _NAME.fullmatch(path.name))


def remove_files(folder: Path) -> None:
    """Remove what processes have left, once it is used; others of this run may be about to meet in the folder."""
    for path in folder.glob("*-*"):
        if _NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
    if world_size() == 1:
        for path in folder.glob("*"):
            if path.name != RUN_LOCK_FILE:  # the lock of this run
                path.unlink(missing_ok=True)
        with suppress(OSError):  # it stays if it holds the lock
            folder.rmdir()


def mark_finished(folder: Path, start: int, values: dict[str, object]) -> None:
    """Write that this process has finished, with values for the process that merges."""
    with atomic_write_bytes(_finished_path(folder, start, global_rank())) as file:
        file.write(json.dumps(values).encode())


def read_finished(folder: Path, start: int) -> list[dict[str, object]] | None:
    """The values of all processes, by rank; None if some have not finished, or another one has merged already.

    Raises:
        ValueError: If a file holds something else.
    """
    finished = [path for rank in range(world_size()) if (path := _finished_path(folder, start, rank)).exists()]
    if len(finished) < world_size():
        return None
    try:
        return [_VALUES.validate_python(parse_json(read_limited(path, _MAX_BYTES))) for path in finished]
    except FileNotFoundError:  # the one that merges has removed it
        return None
    except ValidationError as error:
        raise ValueError(
            f"Expected numbers that the processes of this run have written in '{folder}' but got something else. "
            "Write nothing to this folder, and start again with --resume."
        ) from error


def claim_merge(folder: Path, start: int) -> bool:
    """Whether this process is to merge: two may find at the same time that all have finished.

    The plan can be removed once, which holds also where another process has merged and removed the folder.
    """
    try:
        plan_path(folder, start).unlink()
    except FileNotFoundError:
        return False
    return True


def wait_for_finished(folder: Path, start: int) -> list[dict[str, object]]:
    """Wait until all processes have finished; returns their values.

    Raises:
        ProcessesError: If the others have written nothing for long.
    """
    sizes, changed = [0], time.monotonic()
    for _ in poll(MAX_WAIT_SECONDS):
        if (values := read_finished(folder, start)) is not None:
            return values
        found = [path.stat().st_size for path in list_parts(folder)]
        if found != sizes:
            sizes, changed = found, time.monotonic()
        elif time.monotonic() - changed > _MAX_SILENCE_SECONDS:
            break
    silent = [rank for rank in range(world_size()) if not _finished_path(folder, start, rank).exists()]
    raise ProcessesError(
        f"Expected process {silent[0]} to go on but it has written nothing for {_MAX_SILENCE_SECONDS:.0f} s. Start all "
        "processes again: what was finished is kept."
    )


def _finished_path(folder: Path, start: int, rank: int) -> Path:
    return folder / f"finished-{start:06}-{rank:06}"
