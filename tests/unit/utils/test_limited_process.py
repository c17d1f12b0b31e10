"""A function in a process of its own answers, or ends in an error, within its memory and time."""

import gc
import os
import signal
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cxr_lightning.utils import limited_process
from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits

_tasks: list[bytes] = []
"""The tasks of one of the processes of these tests."""
_kept: list[bytes] = []


def answer(task: bytes) -> bytes:
    """What the processes of these tests run."""
    word = task.decode()
    _tasks.append(task)
    if word.startswith("later") and len(_tasks) > 1:
        word = word.removeprefix("later ")
    if word.startswith("keep"):
        _kept.append(b"x" * (int(word.split()[1]) << 20))
    if word.startswith("need"):
        len(b"x" * (int(word.split()[1]) << 20))
    if word == "close":
        os.closerange(3, 100)  # its answers among them
        time.sleep(100)
    if word == "long":
        return bytes(2 << 20)
    if word == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "end":
        os._exit(3)
    if word == "fail":
        raise KeyError("this is the\nreason")
    if word == "grow":
        return bytes(2 << 30)
    if word == "loop":
        while True:
            pass
    if word == "wait":
        time.sleep(100)
    if word == "print":
        print("noise", flush=True)
        os.write(1, b"noise")
    return f"{os.getpid()} {word}".encode()


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[LimitedFunction]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with closing(LimitedFunction("test_limited_process", "answer", Limits(memory=256 << 20, seconds=1))) as function:
        yield function


@pytest.mark.parametrize(
    ("word", "reason", "exceeds_limits"),
    [
        ("die", "the library that reads it ended with signal 11", False),
        ("end", "the process that reads it ended with status 3 and no answer", False),
        ("fail", "KeyError: 'this is the\\nreason'", False),
        pytest.param(
            "grow",
            "it takes more than 256 MiB of memory",
            True,
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no limit"),
        ),
        ("loop", "it takes more than 1 s", True),
        ("wait", "it takes more than 1 s", True),
    ],
)
def test_a_call_without_an_answer_says_why_and_the_next_one_is_answered(
    function: LimitedFunction, word: str, reason: str, exceeds_limits: bool
) -> None:
    with pytest.raises(LimitedCallError) as error:
        function(word.encode())
    assert str(error.value) == reason
    assert error.value.exceeds_limits == exceeds_limits
    assert function(b"well").endswith(b" well")


def test_a_process_is_kept_for_the_next_call(function: LimitedFunction) -> None:
    first, second = function(b"a"), function(b"")
    assert first.split()[0] == second.split()[0] != str(os.getpid()).encode()


def test_a_kept_process_that_was_ended_meanwhile_is_replaced(function: LimitedFunction) -> None:
    os.kill(int(function(b"a").split()[0]), signal.SIGKILL)
    (process,) = function._idle
    process._process.wait()
    assert function(b"b").endswith(b" b")


@pytest.mark.parametrize(
    "word",
    [
        "fail",
        "die",
        "end",
        pytest.param("grow", marks=pytest.mark.skipif(sys.platform == "win32", reason="no limit")),
        "long",
    ],
)
def test_what_fails_in_a_kept_process_is_tried_once_more_in_a_new_one(function: LimitedFunction, word: str) -> None:
    first = function(b"a").split()[0]
    task = f"later {word}".encode()
    answer = function(task)
    assert answer.endswith(task)
    assert answer.split()[0] != first


def test_what_takes_too_long_is_not_tried_again(function: LimitedFunction) -> None:
    function(b"a")
    with pytest.raises(LimitedCallError, match="it takes more than 1 s"):
        function(b"later loop")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
def test_each_task_has_as_much_memory_as_the_first(function: LimitedFunction) -> None:
    first = function(b"keep 50")
    assert function(b"need 150").split()[0] == first.split()[0]


def test_an_answer_that_is_too_long_is_not_read(function: LimitedFunction) -> None:
    with pytest.raises(LimitedCallError, match="its answer has more than 1,048,576 bytes"):
        function(b"long")


def test_a_process_that_closes_its_answers_and_goes_on_is_ended(
    function: LimitedFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_process, "_SECONDS_TO_END", 0.1)
    with pytest.raises(LimitedCallError, match="the process that reads it gave no answer"):
        function(b"close")


def test_a_function_that_is_no_longer_used_is_forgotten() -> None:
    reference = weakref.ref(LimitedFunction("absent", "answer", Limits(256 << 20, 1)))
    gc.collect()
    assert reference() is None


def test_what_a_library_prints_is_no_answer(function: LimitedFunction) -> None:
    assert function(b"print").endswith(b" print")


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(
        LimitedCallError, match=r"status 1 and no answer \(ModuleNotFoundError: No module named 'absent'"
    ):
        LimitedFunction("absent", "answer", Limits(256 << 20, 1))(b"a")
