"""Files are replaced as a whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cxr_lightning.training.run_folder import locked_run_folder
from cxr_lightning.utils.io import atomic_write_bytes, atomic_write_text, remove_temporary_files


def test_text_is_written_as_utf_8_with_its_line_ends(tmp_path: Path) -> None:
    with atomic_write_text(tmp_path / "a.txt") as file:
        file.write("größer\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == "größer\r\n\n".encode()


@pytest.mark.parametrize("sync", [True, False])
def test_bytes_replace_the_old_content_at_the_end_of_the_block(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_write_bytes(path, sync=sync) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, error: BaseException) -> None:
    with atomic_write_text(path) as file:
        file.write("half of the ne")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_characters_that_utf_8_cannot_encode_are_treated_as_asked_for(tmp_path: Path) -> None:
    path, name = tmp_path / "a.txt", os.fsdecode(b"\xff.png")
    with pytest.raises(UnicodeEncodeError), atomic_write_text(path) as file:
        file.write(name)
    assert not list(tmp_path.iterdir())
    with atomic_write_text(path, errors="backslashreplace") as file:
        file.write(name)
    assert path.read_text() == r"\udcff.png"


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write_text(path) as first:
        first.write("first")
        with atomic_write_text(path) as second:
            second.write("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_on_the_disk_unless_sync_is_false(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    with atomic_write_bytes(tmp_path / "a", sync=False) as file:
        file.write(b"a")
    assert synced == []
    with atomic_write_bytes(tmp_path / "b") as file:
        file.write(b"b")
    assert synced == [(tmp_path / "b").stat().st_ino, tmp_path.stat().st_ino]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_file = os.open

    def refuse_folders(path: Path, flags: int) -> int:
        if Path(path).is_dir():
            raise PermissionError
        return open_file(path, flags)

    monkeypatch.setattr("os.open", refuse_folders)
    with atomic_write_text(tmp_path / "a") as file:
        file.write("a")
    assert (tmp_path / "a").read_text() == "a"


def test_permissions_are_those_of_a_plainly_opened_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_write_text(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_the_error_that_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), atomic_write_text(tmp_path / "absent" / "a"):
        pass


def test_only_temporary_files_are_removed(tmp_path: Path) -> None:
    kept = ["last.ckpt", ".hidden", ".notes.tmp", ".last.ckpt.tmp", "last.ckpt.12-0a1b2c3d.tmp"]
    for name in [*kept, ".last.ckpt.12-0a1b2c3d.tmp", ".a.b.4194304-ffffffff.tmp"]:
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
    remove_temporary_files(tmp_path / "absent")


def test_what_a_killed_run_leaves_is_removed_by_the_next_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    code = f"""
import os, signal
from pathlib import Path
from cxr_lightning.utils.io import atomic_write_bytes
with atomic_write_bytes(Path({str(folder)!r}) / "last.ckpt") as file:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode != 0
    assert [path.name[:11] for path in folder.iterdir()] == [".last.ckpt."]
    with locked_run_folder(tmp_path):
        assert list(folder.iterdir()) == []
