"""Files that the processes of a run leave for each other in one folder, by the number of the run's start.

Every start has new names, so that nothing of an earlier one, which may have been killed, is written to.
"""

import json
import os
import re
import shutil
import time
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cxr_lightning.utils.distributed import global_rank, world_size
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.process_group import ProcessesError, poll
from cxr_lightning.utils.regular_files import read_limited

PROCESSES_FOLDER = ".processes"
"""Folder of these files, within the folder of the run's results."""
_NAME = re.compile(r"(part|plan|ended|last)-(\d{6})(-\d{6})?(\.jsonl)?")
_MAX_BYTES = 100_000_000
_MAX_SILENCE_SECONDS = 600.0
"""Maximum time for which a process may write nothing before it is given up."""
_MAX_WAIT_SECONDS = 30 * 86400.0
_VALUES = TypeAdapter(dict[str, object])


def next_start(folder: Path) -> int:
    """Number of a start of which there are no files in a folder."""
    found = (_NAME.fullmatch(path.name) for path in folder.glob("*-*"))
    return 1 + max((int(match[2]) for match in found if match), default=0)


def plan_path(folder: Path, start: int) -> Path:
    """File in which the first process writes what is to be done."""
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
        shutil.rmtree(folder, ignore_errors=True)


def mark_finished(folder: Path, start: int, values: dict[str, object]) -> None:
    """Note that this process is done, with values for the one that reads them."""
    with atomic_write_bytes(_ended_path(folder, start, global_rank())) as file:
        file.write(json.dumps(values).encode())


def read_finished(folder: Path, start: int) -> list[dict[str, object]] | None:
    """What all processes have noted at their ends, by rank; None if some go on.

    Raises:
        ValueError: If a file holds something else.
    """
    ended = [path for rank in range(world_size()) if (path := _ended_path(folder, start, rank)).exists()]
    if len(ended) < world_size():
        return None
    try:
        return [_VALUES.validate_python(parse_json(read_limited(path, _MAX_BYTES))) for path in ended]
    except ValidationError as error:
        raise ValueError(f"Expected what processes have done in '{folder}' but got something else.") from error


def claim_merge(folder: Path, start: int) -> bool:
    """Whether this process is the first to ask: two may find at the same time that all have ended."""
    try:
        (folder / f"last-{start:06}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def wait_for_finished(folder: Path, start: int) -> list[dict[str, object]]:
    """Wait until all processes are done; returns what they have noted.

    Raises:
        ProcessesError: If the others have written nothing for long.
    """
    sizes, changed = [0], time.monotonic()
    for _ in poll(_MAX_WAIT_SECONDS):
        if (ends := read_finished(folder, start)) is not None:
            return ends
        found = [path.stat().st_size for path in list_parts(folder)]
        if found != sizes:
            sizes, changed = found, time.monotonic()
        elif time.monotonic() - changed > _MAX_SILENCE_SECONDS:
            break
    silent = [rank for rank in range(world_size()) if not _ended_path(folder, start, rank).exists()]
    raise ProcessesError(
        f"Expected process {silent[0]} to go on but it has written nothing for {_MAX_SILENCE_SECONDS:.0f} s. Start all "
        "processes again: what was finished is kept."
    )


def _ended_path(folder: Path, start: int, rank: int) -> Path:
    return folder / f"ended-{start:06}-{rank:06}"
