"""Processes of one run that come to a decision of rank 0 through files in a folder that all reach; needs no torch.

Rank 0 writes a fresh number to ``call``. Each other one answers in ``hello-RANK`` with that number and a
fresh one of its own, and waits for a ``decision`` that holds its own. Files that a killed run has left hold other
numbers, so that they are never taken for those of this run, whatever the clocks of the machines say.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from cxr_lightning.utils.distributed import global_rank, world_size
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.signals import Stopped, raise_if_stopped
from cxr_lightning.utils.typed_values import TypedValues

_MAX_BYTES = 1_000_000
_TIMEOUT_SECONDS = 300.0
"""Maximum time between the starts of a run's processes."""
_DECISION_SECONDS = 1800.0
"""Maximum time from a process's start, or the last sign of life of rank 0, to the decision of rank 0."""
_SIGN_SECONDS = 60.0
"""Time between signs of life of rank 0, which may have much to read before it decides."""
MAX_WAIT_SECONDS = 30 * 86400.0
_REMOVAL_SECONDS = 5.0
"""Maximum time for which rank 0 waits for the others to read its decision."""
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.02, 0.5


class ProcessesError(OSError):
    """The processes of a run do not find each other, or rank 0 has refused to go on."""


class _Call(TypedValues):
    """What rank 0 writes."""

    number: str


class _Hello(TypedValues):
    """What every other process answers."""

    call: str
    own: str
    inputs: str


class _Decision(TypedValues):
    """What rank 0 has decided: ``value`` is null if it has refused."""

    numbers: list[str]
    value: str | None


_File = TypeVar("_File", bound=TypedValues)


def decide_in_first(folder: Path, inputs: str, decide: Callable[[], str]) -> str:
    """Have rank 0 of a run decide, and return its decision in all processes.

    Rank 0 waits for 300 s until all have started. The others wait until 1,800 s after its last sign of life.

    Args:
        folder: Folder of what the processes leave for each other; created if it does not exist.
        inputs: What must be the same in all processes, in short, such as the hash of a list of files.
        decide: Called in rank 0 once all have started; what it raises ends all of them.

    Raises:
        ProcessesError: If a process has other inputs, does not start in time, or rank 0 has raised an error.
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _lead(folder, inputs, decide) if global_rank() == 0 else _follow(folder, inputs)


def refuse(folder: Path, inputs: str) -> None:
    """End the other processes in the place of :func:`decide_in_first`; raises nothing: the caller has an error.

    Args:
        folder: As in ``decide_in_first``.
        inputs: As there.
    """

    def fail() -> str:
        raise ProcessesError("refused")

    with suppress(OSError, Stopped):
        decide_in_first(folder, inputs, fail)


@contextmanager
def signs_of_life(folder: Path) -> Iterator[None]:
    """Within the block, the others wait for the decision of rank 0, which runs this.

    Args:
        folder: As in :func:`decide_in_first`.
    """
    over = threading.Event()

    def sign() -> None:
        while not over.is_set():
            with suppress(OSError):  # without it, they wait for the usual time
                folder.mkdir(parents=True, exist_ok=True)
                _write(folder / "alive", _Call(number=secrets.token_hex(16)))
            over.wait(_SIGN_SECONDS)

    thread = threading.Thread(target=sign, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _lead(folder: Path, inputs: str, decide: Callable[[], str]) -> str:
    call = _Call(number=secrets.token_hex(16))
    _write(folder / "call", call)
    try:
        hellos = _wait_for_all(folder, call)
        if different := [rank for rank, hello in hellos.items() if hello.inputs != inputs]:
            raise ProcessesError(
                f"Expected the same files and settings in all {world_size()} processes but process {different[0]} has "
                "others. Start all with the same arguments, while no files are added or removed."
            )
        with signs_of_life(folder):
            value = decide()
    except BaseException:
        with suppress(OSError, Stopped):  # the error that led here is the one to report
            _write(folder / "decision", _decision(_read_hellos(folder, call), None))
            leave_group(folder)
        raise
    _write(folder / "decision", _decision(hellos, value))
    return value


def _decision(hellos: Mapping[int, _Hello], value: str | None) -> _Decision:
    return _Decision(numbers=[hello.own for hello in hellos.values()], value=value)


def _wait_for_all(folder: Path, call: _Call) -> dict[int, _Hello]:
    for _ in poll(_TIMEOUT_SECONDS):
        hellos = _read_hellos(folder, call)
        if len(hellos) == world_size() - 1:
            return hellos
    missing = [rank for rank in range(1, world_size()) if rank not in hellos]
    shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    raise ProcessesError(
        f"Expected all {world_size()} processes of the run in '{folder.parent}' but got none of rank {shown} within "
        f"{_TIMEOUT_SECONDS:.0f} s. Start all of them within this time, with the same --out or --cache-dir."
    )


def leave_group(folder: Path) -> None:
    """Wait shortly until the others have read the decision of rank 0, then remove what was written for it."""
    with suppress(OSError):  # the folder stays if it holds more
        for _ in poll(_REMOVAL_SECONDS):
            if not any(folder.glob("hello-*")):
                break
        for name in ("call", "decision", "alive"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _follow(folder: Path, inputs: str) -> str:
    own, call, sign = secrets.token_hex(16), None, None
    seen = time.monotonic()
    for _ in poll(MAX_WAIT_SECONDS):
        if (last := _read(folder / "alive", _Call)) != sign:
            sign, seen = last, time.monotonic()
        elif time.monotonic() - seen > _DECISION_SECONDS:
            break
        found = _read(folder / "call", _Call)
        if found is not None and found != call:
            call = found
            _write(folder / f"hello-{global_rank()}", _Hello(call=call.number, own=own, inputs=inputs))
        decision = _read(folder / "decision", _Decision)
        if decision is not None and own in decision.numbers:
            (folder / f"hello-{global_rank()}").unlink(missing_ok=True)
            if decision.value is None:
                raise ProcessesError(
                    f"process {global_rank()} ends since process 0 does; see the output of rank 0, then start again "
                    "(cxr predict: with --resume)"
                )
            return decision.value
    raise ProcessesError(
        f"Expected a decision or a sign of life of process 0 in '{folder}' within {_DECISION_SECONDS:.0f} s but got "
        "none. Look at its output, then start all processes again."
    )


def poll(seconds: float) -> Iterator[None]:
    """Come again and again, at first quickly, until the time is over or a signal ends the program."""
    deadline, pause = time.monotonic() + seconds, _MIN_POLL_SECONDS
    while time.monotonic() < deadline:
        raise_if_stopped()
        yield
        time.sleep(pause)
        pause = min(2 * pause, _MAX_POLL_SECONDS)


def _read_hellos(folder: Path, call: _Call) -> dict[int, _Hello]:
    """Answers of this start by rank."""
    found = {rank: _read(folder / f"hello-{rank}", _Hello) for rank in range(1, world_size())}
    return {rank: hello for rank, hello in found.items() if hello is not None and hello.call == call.number}


def _write(path: Path, content: TypedValues) -> None:
    with atomic_write_bytes(path, sync=False) as file:
        file.write(json.dumps(content.model_dump()).encode())


def _read(path: Path, kind: type[_File]) -> _File | None:
    """A file's content; None if it is not there, or is another program's."""
    try:
        return kind.model_validate(parse_json(read_limited(path, _MAX_BYTES)))
    except (OSError, ValueError):
        return None
