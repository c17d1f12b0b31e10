"""A path that is no file says why, and a name that no file can have is known without asking the disk."""

import os
from pathlib import Path

import pytest

from cxr_lightning.utils.paths import file_problem, name_problem


def test_what_is_no_file_says_why(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    expected = {
        file: "",
        tmp_path / "link": "",
        tmp_path: "it is a folder",
        tmp_path / "gone": "there is no such file",
        file / "below.csv": "there is no such file",
        tmp_path / "dangling": "it is a link to a file that is not there",
        tmp_path / "pipe": "it is no regular file",
        tmp_path / ("x" * 300): "it cannot be read (File name too long)",
        tmp_path / "a\0.csv": "there is no such file",
    }
    for path, problem in expected.items():
        assert (file_problem(path), file_problem(str(path))) == (problem, problem)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "/".join(["x" * 200] * 20), "a b.png", "a\u00a0b.png", "..."])
def test_a_long_or_odd_name_is_possible(name: str) -> None:
    assert name_problem(name, Path("/")) == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a\r.png", r"has the control character '\r'"),
        ("a/\x85b.png", r"has the control character '\x85'"),
        ("é" * 128, "has a file or folder name of 256 bytes where 255 are possible"),
        ("a/" + "x" * 256 + "/b", "has a file or folder name of 256 bytes where 255 are possible"),
        ("/".join(["x" * 200] * 21), "makes a path of 4,226 bytes where 4,095 are possible"),
    ],
)
def test_an_impossible_name_says_why(name: str, problem: str) -> None:
    assert name_problem(name, Path("/data")) == problem
