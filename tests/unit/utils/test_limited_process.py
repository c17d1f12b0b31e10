"""A function in a process of its own answers, or ends in an error, within its memory and time."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits


def answer(task: bytes) -> bytes:
    """What the processes of these tests run."""
    word = task.decode()
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
def function(monkeypatch: pytest.MonkeyPatch) -> LimitedFunction:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return LimitedFunction("test_limited_process", "answer", Limits(memory=256 << 20, seconds=1))


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
    time.sleep(0.2)
    assert function(b"b").endswith(b" b")


def test_what_a_library_prints_is_no_answer(function: LimitedFunction) -> None:
    assert function(b"print").endswith(b" print")


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(
        LimitedCallError, match=r"status 1 and no answer \(ModuleNotFoundError: No module named 'absent'"
    ):
        LimitedFunction("absent", "answer", Limits(256 << 20, 1))(b"a")
