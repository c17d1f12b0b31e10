"""Other processes answer line by line, and end with the block whatever happens."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cxr_lightning.utils.subprocesses import run_in_processes


def echo() -> None:
    """What the processes of these tests run: writes its task's words as lines, or ends as one of them says."""
    for word in sys.stdin.read().split():
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "fail":
            raise ValueError("this is the reason")
        if word == "end":
            os._exit(0)
        if word == "shout":
            sys.stderr.write("w" * 1_000_000)
        if word == "sleep":
            time.sleep(60)
        print(word, flush=True)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # where this module is


def test_every_line_of_every_process_is_passed_on() -> None:
    lines: list[str] = []
    run_in_processes("test_subprocesses", "echo", ["a b", "c", ""], lines.append)
    assert sorted(lines) == ["a", "b", "c"]


def test_a_process_that_is_killed_is_an_error_of_the_system() -> None:
    lines: list[str] = []
    with pytest.raises(ChildProcessError, match="ended by signal 9"):
        run_in_processes("test_subprocesses", "echo", ["a die b"], lines.append)
    assert lines == ["a"]


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)status 1: .*ValueError: this is the reason"):
        run_in_processes("test_subprocesses", "echo", ["a", "fail"], lambda _: None)


def test_a_process_that_ends_without_an_answer_is_an_error() -> None:
    with pytest.raises(ChildProcessError, match=r"it ended without an answer\. Start again"):
        run_in_processes("test_subprocesses", "echo", ["a end b"], lambda _: None)


def test_nothing_of_the_current_folder_or_of_python_variables_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    for name in ("json", "sitecustomize", "numpy", "PIL", "cxr_lightning", "importlib", "encodings"):
        for place in (tmp_path, folder):
            (place / f"{name}.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "json.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    lines: list[str] = []
    run_in_processes("test_subprocesses", "echo", ["a"], lines.append)
    assert lines == ["a"]
    assert not (tmp_path / "marker").exists()


def test_a_process_that_says_much_is_not_stopped_by_it() -> None:
    lines: list[str] = []
    run_in_processes("test_subprocesses", "echo", ["shout a"], lines.append)
    assert lines == ["shout", "a"]


def test_a_failure_ends_all_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="this is the reason"):
        run_in_processes("test_subprocesses", "echo", ["sleep", "fail"], lambda _: None)
    assert time.monotonic() - started < 30
