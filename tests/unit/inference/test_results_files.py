"""The files of a results folder are this program's own: links, pipes and folders in their place are one line."""

import csv
import json
import os
from pathlib import Path

import pytest

from cxr_lightning.checkpoints.metadata import exported_description
from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.inference.results import Result
from cxr_lightning.inference.results_folder import ABOUT_FILE, RESULTS_FILE, TABLE_FILE, ResultsFolder
from cxr_lightning.utils.regular_files import FileTooLargeError, read_limited

ABOUT = {"labels": ["Mass"], "model": "0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of results that can be resumed."""
    path = tmp_path / "out"
    path.mkdir()
    (path / ABOUT_FILE).write_text(json.dumps(ABOUT))
    return path


def test_a_link_in_the_place_of_results_is_refused_and_its_file_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (folder / RESULTS_FILE).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"^Expected to write results in '.*' but got: it is a link\. Give another --out"):
        ResultsFolder(folder, ABOUT, resume=True)
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_pipes_are_not_waited_for(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / RESULTS_FILE)
    with pytest.raises(OSError, match=r"^Expected to write results in '.*' but got: it is no regular file"):
        ResultsFolder(folder, ABOUT, resume=True)
    os.mkfifo(tmp_path / "x.safetensors")
    assert exported_description(str(tmp_path / "x.safetensors")) is None


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (RESULTS_FILE, OSError, "^Expected to write results in"),
        (TABLE_FILE, ValueError, r"^Expected no results\.csv in"),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_found_at_the_start(
    folder: Path, name: str, error: type[Exception], message: str
) -> None:
    (folder / name).mkdir()
    with pytest.raises(error, match=message):
        ResultsFolder(folder, ABOUT, resume=True)


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("/dev/full", "'/dev/full' is not a folder"),
        ("/dev/null/x", "'/dev/null' is not a folder"),
        ("file", "'file' is not a folder"),
        ("file/below/it", "'file' is not a folder"),
        ("link", "'link' is a broken link"),
        ("x" * 300, "got: File name too long"),
    ],
)
def test_no_folder_can_be_there(out: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("link").symlink_to("absent")
    with pytest.raises(OSError, match=rf"^Expected to write results in '.*' but {problem}\. Give another --out"):
        ResultsFolder(Path(out), ABOUT)


@pytest.mark.parametrize(
    ("name", "resume"), [(file, resume) for file in (TABLE_FILE, ABOUT_FILE) for resume in (False, True)]
)
def test_files_of_another_program_stay(name: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(
        ValueError, match=rf"^Expected no {name} in '.*' without results\.jsonl but there is one\. Give"
    ):
        ResultsFolder(tmp_path, ABOUT, resume=resume)
    assert (tmp_path / name).read_text() == "precious"


def test_a_start_that_ended_before_it_wrote_anything_is_resumed(tmp_path: Path) -> None:
    (tmp_path / RESULTS_FILE).touch()
    with pytest.raises(ValueError, match="Add --resume"):
        ResultsFolder(tmp_path, ABOUT)
    with ResultsFolder(tmp_path, ABOUT, resume=True) as results:
        results.add(Result(Path("b.png")))
    assert json.loads((tmp_path / ABOUT_FILE).read_text()) == ABOUT


def test_a_file_without_ends_of_lines_is_left_as_it_is(folder: Path) -> None:
    (folder / RESULTS_FILE).write_bytes(b"x" * (3 << 20))
    with pytest.raises(ValueError, match=r"in line 1 of '.*results\.jsonl' but .* longer than 1,048,576 bytes"):
        ResultsFolder(folder, ABOUT, resume=True)
    assert (folder / RESULTS_FILE).stat().st_size == 3 << 20


def test_a_rejected_file_has_a_row_of_all_columns(tmp_path: Path) -> None:
    with ResultsFolder(tmp_path, ABOUT) as results:
        results.add(Result(Path("b.png"), (QualityFlag("empty", "the file is empty"),), rejected=True))
    header, row = csv.reader((tmp_path / TABLE_FILE).read_text().splitlines())
    assert row[:4] == ["b.png", "rejected", "empty", "the file is empty"]
    assert row[4:] == [""] * (len(header) - 4)
    assert len(header) > 4


def test_an_incomplete_line_is_dropped_and_results_are_added(folder: Path) -> None:
    (folder / RESULTS_FILE).write_text('{"file": "a.png", "status": "ok"')
    with ResultsFolder(folder, ABOUT, resume=True) as results:
        results.add(Result(Path("b.png")))
    (line,) = (folder / RESULTS_FILE).read_text().splitlines()
    assert json.loads(line)["file"] == "b.png"


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="it is a file of Linux")
def test_a_file_that_states_no_size_is_read_up_to_a_limit() -> None:
    with pytest.raises(FileTooLargeError, match="more than 16,777,216 bytes"):
        read_limited("/proc/self/pagemap", 1 << 30)
    assert read_limited("/proc/self/status", 1 << 20).startswith(b"Name:")
