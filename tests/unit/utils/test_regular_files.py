"""Pipes, sockets, devices and endless files are refused without waiting, and reads have an end."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.utils.regular_files import FileTooLargeError, NotRegularFileError, open_regular, read_limited


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def bound_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(os.path.relpath(path))  # the address's length is limited
    return path


def link_to_a_device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("make", [pipe, bound_socket, link_to_a_device])
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "x")
    with pytest.raises(NotRegularFileError, match="it is no regular file"):
        read_limited(path, 10)


def test_a_path_that_becomes_a_pipe_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pipe(tmp_path / "x")
    monkeypatch.setattr("os.stat", lambda _: os.lstat(__file__))
    with pytest.raises(NotRegularFileError):
        open_regular(path)


def test_folders_and_absent_files_are_the_systems_errors(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_limited(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_limited(tmp_path / "absent", 10)


def test_a_file_is_read_up_to_a_number_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with pytest.raises(FileTooLargeError, match="it has 5 bytes, more than 4"):
        read_limited(path, 4)
    os.truncate(path, 10 << 40)
    with pytest.raises(FileTooLargeError, match="10,995,116,277,760 bytes"):
        read_limited(path, 1 << 30)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone")
def test_a_file_that_states_no_size_is_read_up_to_a_number_of_bytes() -> None:
    assert read_limited("/proc/self/maps", 1 << 24)
    with pytest.raises(FileTooLargeError, match="it has more than 100 bytes"):
        read_limited("/proc/self/maps", 100)
    with pytest.raises(OSError, match="Input/output error"):
        read_limited("/proc/self/mem", 100)
