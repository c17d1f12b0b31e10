"""A cache that the processes of a run (torchrun, srun) fill together, each a shard of the images."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from cxr_lightning.data.cache.build import prepare_images
from cxr_lightning.data.cache.index_lines import IndexEntry, can_be_read_back
from cxr_lightning.data.cache.index_parts import read_parts
from cxr_lightning.data.cache.missing_images import decode_rows
from cxr_lightning.data.cache.prepared_images import PreparedImages
from cxr_lightning.data.cache.request import CacheRequest, read_states
from cxr_lightning.data.cache.store import CacheIndex, CacheSpec, CacheWriter
from cxr_lightning.imaging.reader import BadImagePolicy
from cxr_lightning.utils.distributed import global_rank, local_world_size, world_size
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.process_files import (
    PROCESSES_FOLDER,
    mark_finished,
    next_start,
    part_path,
    plan_path,
    wait_for_finished,
)
from cxr_lightning.utils.process_group import ProcessesError, decide_in_first, leave_group, refuse, signs_of_life
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.subprocesses import check_workers, usable_cores

_MAX_PLAN_BYTES = 100_000_000
_NUMBERS = TypeAdapter(dict[str, int])
_NOTHING: dict[str, int] = {}
"""Plan of a run in which no image is missing."""


def prepare_images_together(
    files: Sequence[str],
    spec: CacheSpec,
    cache_dir: Path,
    *,
    on_bad_image: BadImagePolicy = "error",
    workers: int | None = None,
    verify: bool = False,
) -> PreparedImages | None:
    """Decode and resize images once, in all processes of a run, which call this with the same arguments.

    Rank 0 finds out which images are missing and holds the cache's lock. All write pixels into rows of one
    file, and lines about them into parts of the index, which rank 0 puts together at the end.

    Args:
        files: As the others, of :func:`~cxr_lightning.data.cache.prepare_images`.
        spec: The data set's folder, and what decides the pixels.
        cache_dir: Folder of all caches.
        on_bad_image: ``error`` or ``skip``.
        workers: Number of processes that each of these starts; None for its part of the usable cores.
        verify: Compare all pixels with their checksums.

    Returns:
        The prepared images; None in all processes but rank 0.

    Raises:
        ValueError: In rank 0, as ``prepare_images``.
        OSError: As there, and if the processes do not find each other.
    """
    workers = max(1, usable_cores() // local_world_size()) if workers is None else check_workers(workers)
    if world_size() == 1:
        return prepare_images(files, spec, cache_dir, on_bad_image=on_bad_image, workers=workers, verify=verify)
    inputs = hashlib.sha256("\n".join(files).encode(errors="backslashreplace")).hexdigest()
    processes = cache_dir / spec.folder_name / PROCESSES_FOLDER
    if global_rank() > 0:
        _follow(files, spec, processes, inputs, workers)
        return None
    told = False

    def decode(request: CacheRequest, missing: Sequence[str], writer: CacheWriter, workers: int, shown: bool) -> None:
        nonlocal told
        before_decision.close()
        told = True
        place = {file: number for number, file in enumerate(files)}

        def write_plan() -> str:
            start = next_start(processes)
            with atomic_write_bytes(plan_path(processes, start)) as file:
                file.write(np.array([place[name] for name in missing], dtype=np.int64).tobytes())
            return json.dumps({"start": start, "first": writer.index.next_row})

        plan = _NUMBERS.validate_python(parse_json(decide_in_first(processes, inputs, write_plan)))
        _decode_shard(request, missing, plan, processes, workers, progress=shown)
        _put_together(request, missing, writer, processes, plan["start"])

    try:
        with ExitStack() as before_decision:
            before_decision.enter_context(signs_of_life(processes))
            prepared = prepare_images(
                files, spec, cache_dir, on_bad_image=on_bad_image, workers=workers, verify=verify, decode=decode
            )
    except BaseException:
        if not told:
            refuse(processes, inputs)
        raise
    if not told:
        decide_in_first(processes, inputs, lambda: json.dumps(_NOTHING))
        leave_group(processes)
    return prepared


def _follow(files: Sequence[str], spec: CacheSpec, processes: Path, inputs: str, workers: int) -> None:
    """Decode what rank 0 has planned."""
    plan = _NUMBERS.validate_python(parse_json(decide_in_first(processes, inputs, lambda: "")))
    if plan == _NOTHING:
        return
    try:
        content = read_limited(plan_path(processes, plan["start"]), _MAX_PLAN_BYTES)
        missing = [files[number] for number in np.frombuffer(content, dtype=np.int64)]
        states = read_states(spec.root, missing[global_rank() :: world_size()])
        request = CacheRequest(processes.parent, spec, states, "skip", verify=False)
        _decode_shard(request, missing, plan, processes, workers, progress=False)
    except BaseException:  # also a signal: rank 0 waits for this process
        mark_finished(processes, plan["start"], {"failed": True})
        raise


def _decode_shard(
    request: CacheRequest,
    missing: Sequence[str],
    plan: dict[str, int],
    processes: Path,
    workers: int,
    *,
    progress: bool,
) -> None:
    """Decode this process's shard of the missing images into its part."""
    rows = [(file, row) for row, file in enumerate(missing, start=plan["first"])][global_rank() :: world_size()]
    not_kept: list[dict[str, Any]] = []
    part = part_path(processes, plan["start"], global_rank())
    with CacheWriter(request.folder, request.spec, CacheIndex(), part) as writer:

        def add(entry: IndexEntry, *, permanent: bool) -> None:
            writer.add(entry, permanent=permanent)
            if not permanent or not can_be_read_back(entry.to_line()):  # the part does not hold it
                not_kept.append({**asdict(entry), "permanent": permanent})

        decode_rows(request, rows, add, workers, progress=progress)
    mark_finished(processes, plan["start"], {"not_kept": not_kept})


def _put_together(
    request: CacheRequest, missing: Sequence[str], writer: CacheWriter, processes: Path, start: int
) -> None:
    """Add what all processes have done to the cache's index, in the order of one process."""
    finished: list[dict[str, Any]] = wait_for_finished(processes, start)
    if failed := [rank for rank, end in enumerate(finished) if "failed" in end]:
        raise ProcessesError(
            f"process 0 ends since process {failed[0]} does; see the output of rank {failed[0]}, then start again: "
            "what was finished is kept"
        )
    found = {entry.file: (entry, True) for entry in read_parts(processes, request.spec)}
    for end in finished:
        for values in end["not_kept"]:
            permanent = values.pop("permanent")
            flags = tuple(tuple(flag) for flag in values.pop("flags"))
            found[values["file"]] = IndexEntry(**values, flags=flags), permanent
    if lost := [file for file in missing if file not in found]:
        raise ProcessesError(
            f"Expected {len(missing):,} images of the processes in '{processes}' but got none of {len(lost):,}, first "
            f"'{lost[0]}'. Start again: what was finished is kept."
        )
    for file in missing:
        entry, permanent = found[file]
        writer.add(entry, permanent=permanent)
    writer.save()
    shutil.rmtree(processes, ignore_errors=True)  # all have ended
