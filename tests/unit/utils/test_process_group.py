"""Processes of one run, here threads, come to the decision of the first; what a killed run has left decides nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from cxr_lightning.utils import process_group
from cxr_lightning.utils.process_group import ProcessesError, decide_in_first, refuse, signs_of_life

Start = Callable[..., "Future[str]"]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a process of three."""
    rank = threading.local()
    monkeypatch.setattr(process_group, "global_rank", lambda: rank.value)
    monkeypatch.setattr(process_group, "world_size", lambda: 3)

    def decide(number: int, folder: Path, inputs: str, value: str | Exception) -> str:
        def choose() -> str:
            if isinstance(value, Exception):
                raise value
            return value

        rank.value = number
        return decide_in_first(folder, inputs, choose)

    with ThreadPoolExecutor(6) as pool:
        yield lambda number, folder, inputs="", value="": pool.submit(decide, number, folder, inputs, value)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_have_the_decision_of_the_first(order: tuple[int, ...], start: Start, tmp_path: Path) -> None:
    for value in ("first run", "second run"):  # which finds the files of the first, as after a kill
        running = [start(rank, tmp_path / "out/.processes", "same", f"{value} of {rank}") for rank in order]
        assert [future.result(timeout=20) for future in running] == [f"{value} of 0"] * 3


def test_a_refusal_ends_all_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    running = [start(rank, tmp_path / ".processes", "", ValueError("no such model")) for rank in range(3)]
    with pytest.raises(ValueError, match=r"^no such model$"):
        running[0].result(timeout=20)
    for rank in (1, 2):
        with pytest.raises(ProcessesError, match=rf"^process {rank} ends since process 0 does; see the output"):
            running[rank].result(timeout=20)
    assert list(tmp_path.iterdir()) == []


def test_other_files_in_one_process_are_refused(start: Start, tmp_path: Path) -> None:
    running = [start(rank, tmp_path, "1000 files" if rank < 2 else "999 files") for rank in range(3)]
    with pytest.raises(ProcessesError, match="the same files and settings in all 3 processes but process 2 has others"):
        running[0].result(timeout=20)
    for rank in (1, 2):
        with pytest.raises(ProcessesError, match="ends since"):
            running[rank].result(timeout=20)


def test_processes_that_do_not_start_are_named(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(process_group, "_REMOVAL_SECONDS", 0.3)
    (tmp_path / "hello-1").write_text('{"call": "earlier", "own": "1", "inputs": ""}')
    with pytest.raises(ProcessesError, match=r"all 3 processes .* but got none of rank 1, 2 within"):
        start(0, tmp_path).result(timeout=20)


def test_a_first_process_that_says_nothing_is_not_waited_for_without_end(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_group, "_DECISION_SECONDS", 0.3)
    (tmp_path / "call").write_text('{"number": "of a killed run"}')
    (tmp_path / "decision").write_text('{"numbers": ["x"], "value": "of a killed run"}')
    with pytest.raises(ProcessesError, match="a decision or a sign of life of process 0"):
        start(2, tmp_path).result(timeout=20)


def test_a_first_process_that_reads_for_long_is_waited_for(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_group, "_DECISION_SECONDS", 0.8)  # between two looks half a second may pass
    monkeypatch.setattr(process_group, "_SIGN_SECONDS", 0.05)
    running = [start(rank, tmp_path) for rank in (1, 2)]
    with signs_of_life(tmp_path):
        time.sleep(1.8)
    assert [future.result(timeout=20) for future in (start(0, tmp_path, value="late"), *running)] == ["late"] * 3


def test_a_refusal_to_processes_that_do_not_start_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TIMEOUT_SECONDS", "_REMOVAL_SECONDS"):
        monkeypatch.setattr(process_group, name, 0.1)
    monkeypatch.setattr(process_group, "global_rank", lambda: 0)
    monkeypatch.setattr(process_group, "world_size", lambda: 3)
    refuse(tmp_path / ".processes", "")  # the others have not started
    assert list(tmp_path.iterdir()) == []
