"""The file and the sentence about an exception that nobody expected."""

import tempfile
from pathlib import Path

import pytest

from cxr_lightning.utils.unexpected import describe_unexpected, message_of


def raised(text: str) -> ZeroDivisionError:
    try:
        raise ZeroDivisionError(text)
    except ZeroDivisionError as error:
        return error


def test_the_traceback_is_in_the_run_folder_with_the_versions(tmp_path: Path) -> None:
    said = describe_unexpected(raised("by\nzero"), tmp_path)
    path = tmp_path / "traceback.txt"
    assert said == f"ZeroDivisionError: by zero (unexpected; the traceback is in {path})"
    text = path.read_text()
    assert "Traceback (most recent call last):" in text
    assert "raise ZeroDivisionError(text)" in text
    assert "pytorch-lightning " in text


def test_a_temporary_folder_takes_the_place_of_one_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = describe_unexpected(raised("x"), tmp_path / "absent")
    (path,) = tmp_path.glob("cxr_*/traceback.txt")
    assert str(path) in said
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert describe_unexpected(raised("x")).endswith("(unexpected; CXR_TRACEBACK=1 shows the traceback)")


def test_the_traceback_of_a_loader_process_is_not_in_the_sentence(tmp_path: Path) -> None:
    text = "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\nKeyError: 'a'"
    assert describe_unexpected(raised(text), tmp_path).startswith("ZeroDivisionError: 'a' (unexpected")


def test_an_error_of_the_system_says_what_was_expected() -> None:
    text = message_of(PermissionError(13, "Permission denied", "x.ckpt"))
    assert text == "Expected to use 'x.ckpt' but got: Permission denied. Check the path and its permissions."
    assert message_of(OSError("Expected a file.")) == "Expected a file."
