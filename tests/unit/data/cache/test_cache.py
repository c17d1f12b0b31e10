"""Prepared images are what decoding gives, whatever happened to the cache before; and nothing is done twice."""

import csv
import errno
import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.data.cache import (
    CacheSpec,
    ImageMap,
    PreparedImages,
    build,
    missing_images,
    prepare_images,
    request,
    store,
)
from cxr_lightning.data.cache.decode import decode_images
from cxr_lightning.imaging.reader import read_gray, resize
from cxr_lightning.utils.regular_files import read_limited

SIZE = 24


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve random images of 40 x 32 pixels."""
    generator = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    for number in range(12):
        pixels = generator.integers(0, 256, (32, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / f"{number:02d}.png")
    return tmp_path / "set"


@pytest.fixture(autouse=True)
def _keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MAX_UNSAVED_SECONDS", 0.0)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def spec_of(root: Path) -> CacheSpec:
    return CacheSpec(root, SIZE, "bicubic")


def prepared(root: Path, names: list[str] | None = None, **options: object) -> PreparedImages:
    requested = files(root) if names is None else names
    settings = {"workers": 1, "progress": False, **options}
    return prepare_images(requested, spec_of(root), root.parent / "cache", **settings)  # type: ignore[arg-type]


def folder_of(root: Path) -> Path:
    return root.parent / "cache" / spec_of(root).folder_name


def check(found: PreparedImages, root: Path) -> None:
    """The pixels are those of a fresh decoding."""
    images = found.images(list(found.rows))
    assert len(images) == len(found.rows)
    for number, name in enumerate(found.rows):
        expected = resize(read_gray(root / name), SIZE, "bicubic")
        np.testing.assert_array_equal(images.read([number])[0], expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_prepared_images_are_what_decoding_gives(root: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.utils.subprocesses.IMAGES_PER_PROCESS", 4)
    found = prepared(root, workers=workers)
    assert (found.num_decoded, list(found.rows), found.rejected) == (12, files(root), {})
    check(found, root)
    again = prepared(root)
    assert (again.num_decoded, again.rows) == (0, found.rows)
    lines = (folder_of(root) / "index.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["image_size"] == SIZE
    assert json.loads(lines[0])["interpolation"] == "bicubic"
    entries = {entry["file"]: entry for entry in map(json.loads, lines[1:])}
    for name in files(root):
        assert entries[name]["size"] == (root / name).stat().st_size
        assert entries[name]["mtime_ns"] == (root / name).stat().st_mtime_ns


@given(st.lists(st.integers(0, 11), min_size=1, max_size=30))
def test_any_images_are_read_in_any_order(order: list[int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (15, 5, 5), dtype=np.uint8)
    rows = np.random.default_rng(2).permutation(15)[:12]
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"cxr-pixels-{os.getpid()}.u8"
    path.write_bytes(pixels.tobytes())
    try:
        found = ImageMap(path, rows, 5).read(order)
    finally:
        path.unlink()
    np.testing.assert_array_equal(found, pixels[rows[order]])


def test_what_is_read_may_be_written_to(root: Path) -> None:
    images = prepared(root).images(files(root))
    images.read([0])[:] = 0
    check(prepared(root), root)


def test_a_map_is_sent_to_other_processes_without_its_pixels(root: Path) -> None:
    images = prepared(root).images(files(root))
    first = images.read([3])
    sent = pickle.dumps(images)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).read([3]), first)  # our own bytes


def test_a_cache_grows_and_leaves_alone_what_another_run_reads(root: Path) -> None:
    first = prepared(root, files(root)[:5])
    reading = first.images(files(root)[:5])
    before = reading.read(range(5))
    second = prepared(root)
    assert (first.num_decoded, second.num_decoded) == (5, 7)
    assert {name: second.rows[name] for name in first.rows} == first.rows
    np.testing.assert_array_equal(reading.read(range(5)), before)
    check(second, root)


def test_another_size_is_another_cache(root: Path) -> None:
    prepared(root)
    other = prepare_images(files(root), CacheSpec(root, 16), root.parent / "cache", workers=1)
    assert other.num_decoded == 12
    assert other.folder != folder_of(root)
    assert prepared(root).num_decoded == 0


def test_an_interrupted_run_goes_on_where_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(
        images: list[tuple[Path, int]], *arguments: object, on_result: Callable[..., object], **_: object
    ) -> None:
        decode_images(images[:7], *arguments, on_result=on_result, workers=1)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(missing_images, "decode_images", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepared(root)
    monkeypatch.setattr(missing_images, "decode_images", decode_images)
    found = prepared(root)
    assert found.num_decoded == 5
    check(found, root)


KILLED = """
import os, signal, sys
from pathlib import Path
from cxr_lightning.data.cache import CacheSpec, prepare_images, store, build
store._MAX_UNSAVED_SECONDS = 0.0
add, counted = store.CacheWriter.add, []
def add_or_die(writer, entry, **options):
    add(writer, entry, **options)
    counted.append(entry)
    if len(counted) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
store.CacheWriter.add = add_or_die
root = Path(sys.argv[1])
names = sorted(path.name for path in root.iterdir())
prepare_images(names, CacheSpec(root, 24, "bicubic"), root.parent / "cache", workers=1)
"""


def test_a_killed_run_leaves_what_it_had_done(root: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(root)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    found = prepared(root)
    assert found.num_decoded == 6
    check(found, root)


BUILDER = """
import sys
from pathlib import Path
from cxr_lightning.data.cache import CacheSpec, prepare_images
root = Path(sys.argv[1])
names = sorted(path.name for path in root.iterdir())[int(sys.argv[2]):int(sys.argv[3])]
sys.stdin.readline()
print(prepare_images(names, CacheSpec(root, 24, "bicubic"), root.parent / "cache", workers=1).num_decoded)
"""


@pytest.mark.parametrize("parts", [[("0", "12")] * 3, [("0", "7"), ("3", "12"), ("5", "9")]])
def test_of_several_processes_one_prepares_and_the_others_wait(root: Path, parts: list[tuple[str, str]]) -> None:
    commands = [
        subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(root), *part],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in parts
    ]
    for command in commands:
        assert command.stdin is not None
        command.stdin.write("go\n")
        command.stdin.flush()
    made = [int(command.communicate()[0]) for command in commands]
    assert sum(made) == 12
    assert len(set(parts)) > 1 or sorted(made) == [0, 0, 12]
    complete = prepared(root)
    assert complete.num_decoded == 0
    check(complete, root)


def test_who_waits_says_so(root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = FileLock(folder_of(root) / ".lock", is_singleton=False)
    folder_of(root).mkdir(parents=True)
    holder.acquire()
    log = build.logger.info

    def let_go(message: str, *arguments: object) -> None:
        log(message, *arguments)
        holder.release()

    monkeypatch.setattr(build.logger, "info", let_go)
    with caplog.at_level(logging.INFO):
        assert prepared(root).num_decoded == 12
    assert "another process prepares images" in caplog.text


Corrupt = Callable[[Path], object]


def cut(name: str, length: int) -> Corrupt:
    def corrupt(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:length])

    return corrupt


def change(name: str, place: int) -> Corrupt:
    def corrupt(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 0x55
        (folder / name).write_bytes(content)

    return corrupt


def line_out_of_order(folder: Path) -> None:
    path = folder / "index.jsonl"
    lines = path.read_text().splitlines()
    lines[5] = '{"file": "x.png", "colour": 3}'
    path.write_text("\n".join(lines) + "\n")


def other_settings(folder: Path) -> None:
    path = folder / "index.jsonl"
    path.write_text(path.read_text().replace("bicubic", "nearest"))


def without_pixels(folder: Path) -> None:
    (folder / "pixels.u8").unlink()


CORRUPTED: dict[str, tuple[Corrupt, int, str]] = {
    "torn last line": (cut("index.jsonl", -5), 1, ""),
    "empty index": (cut("index.jsonl", 0), 12, ""),
    "damaged line": (line_out_of_order, 8, "its index is damaged"),
    "damaged header": (change("index.jsonl", 3), 12, "its index is damaged"),
    "other settings": (other_settings, 12, "its settings are"),
    "pixels cut off": (cut("pixels.u8", 10 * SIZE * SIZE - 1), 3, "its pixels are cut off: 3 images"),
    "no pixels": (without_pixels, 12, "its pixels are cut off: 12 images"),
    "a changed pixel": (change("pixels.u8", 3 * SIZE * SIZE + 7), 1, "1 images in"),
}


@pytest.mark.parametrize("name", CORRUPTED)
def test_a_corrupted_cache_is_repaired_with_the_reason(
    root: Path, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_MAX_CHECKED", 12)
    corrupt, lost, reason = CORRUPTED[name]
    prepared(root)
    corrupt(folder_of(root))
    caplog.clear()
    found = prepared(root)
    assert found.num_decoded == lost
    assert reason in caplog.text
    assert bool(reason) == any(record.levelno == logging.WARNING for record in caplog.records)
    check(found, root)
    assert prepared(root).num_decoded == 0


def test_repairing_never_writes_over_rows_that_another_run_may_read(root: Path) -> None:
    reading = prepared(root).images(files(root))
    before = reading.read(range(12))
    line_out_of_order(folder_of(root))
    Image.new("L", (9, 9), 200).save(root / "00.png")
    check(prepared(root), root)
    np.testing.assert_array_equal(reading.read(range(12)), before)


def test_one_damaged_image_of_many_is_found_when_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "_MAX_CHECKED", 2)  # the first and the seventh
    prepared(root)
    change("pixels.u8", 3 * SIZE * SIZE)(folder_of(root))
    assert prepared(root).num_decoded == 0
    found = prepared(root, verify=True)
    assert found.num_decoded == 1
    check(found, root)


def test_a_changed_file_is_prepared_again_and_no_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared(root)
    Image.new("L", (9, 9), 77).save(root / "04.png")
    found = prepared(root)
    assert found.num_decoded == 1
    assert "1 image files have changed since they were prepared, first '04.png'" in caplog.text
    check(found, root)


def test_a_file_of_the_same_size_with_another_time_is_prepared_again(root: Path) -> None:
    prepared(root)
    os.utime(root / "04.png", ns=(1, 1))
    assert prepared(root).num_decoded == 1


def test_images_that_cannot_be_used_are_listed_and_stop_the_run(root: Path) -> None:
    (root / "03.png").write_bytes(b"")
    whole = (root / "07.png").read_bytes()
    (root / "07.png").write_bytes(whole[:60] + bytes(len(whole) - 72) + whole[-12:])  # only decoding shows it
    with pytest.raises(ValueError, match=r"'.*03\.png' but the file is empty.*data\.on_bad_image=skip"):
        prepared(root)
    found = prepared(root, on_bad_image="skip")
    assert list(found.rejected) == ["03.png", "07.png"]
    assert found.rejected["03.png"].reason == "the file is empty"
    assert list(found.rows) == [name for name in files(root) if name not in found.rejected]
    check(found, root)
    with (folder_of(root) / "rejected.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [(row["image"], row["reason"]) for row in listed] == [
        ("03.png", "the file is empty"),
        ("07.png", found.rejected["07.png"].reason),
    ]
    with pytest.raises(
        ValueError, match=r"2 of 12 images cannot be read: .*03\.png.*07\.png.*All are listed in '.*rejected\.csv'"
    ):
        prepared(root)
    assert prepared(root, on_bad_image="skip").num_decoded == 0  # known: not decoded again
    (root / "03.png").unlink()
    assert prepared(root, on_bad_image="skip", names=["00.png", "07.png"]).num_decoded == 0
    shutil.copy(root / "00.png", root / "12.png")
    prepared(root, on_bad_image="skip")
    assert "03.png" not in (folder_of(root) / "rejected.csv").read_text()
    for name in found.rejected:
        (root / name).write_bytes(whole)
    repaired = prepared(root)
    assert (repaired.num_decoded, repaired.rejected) == (2, {})
    assert not (folder_of(root) / "rejected.csv").exists()
    check(repaired, root)


def test_a_disk_that_is_too_small_is_said_before_anything_is_decoded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000_000 + 12 * SIZE * SIZE - 1))
    with pytest.raises(ValueError, match=r"MB to be free, with prepared images of .*paths\.cache_dir"):
        prepared(root)
    assert not (folder_of(root) / "pixels.u8").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000_000 + 12 * SIZE * SIZE))
    assert prepared(root).num_decoded == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_is_an_error_with_the_file(root: Path, workers: int) -> None:
    images = [(root / name, row) for row, name in enumerate(files(root) * 6)]
    with pytest.raises(OSError, match="No space left on device"):
        decode_images(images, Path("/dev/full"), SIZE, "bilinear", workers=workers, on_result=lambda _: None)


@pytest.mark.parametrize("name", ["pixels.u8", "index.jsonl", "rejected.csv"])
def test_a_fault_of_the_file_system_is_an_error_with_the_folder(root: Path, name: str) -> None:
    (folder_of(root) / name / "something").mkdir(parents=True)
    (root / "03.png").write_bytes(b"")
    with pytest.raises(OSError, match=r"keep prepared images in '.*set-.*' but got: .*Free disk space"):
        prepared(root, on_bad_image="skip")


def test_a_full_disk_is_an_error_with_the_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(missing_images, "decode_images", full)
    with pytest.raises(OSError, match=r"keep prepared images in '.*' but got: .*No space left.*paths\.cache_dir"):
        prepared(root)


def test_an_image_that_cannot_be_read_now_is_looked_at_again_next_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [*files(root), "gone.png"]

    def fail(path: Path, max_bytes: int) -> bytes:
        if path.name == "05.png":
            raise OSError(errno.EIO, "Input/output error")
        return read_limited(path, max_bytes)

    monkeypatch.setattr("cxr_lightning.imaging.reader.read_limited", fail)
    with pytest.raises(ValueError, match=r"gone\.png' but it cannot be read \(No such file or directory\)"):
        prepared(root, names)
    found = prepared(root, names, on_bad_image="skip")
    assert {name: rejection.reason for name, rejection in found.rejected.items()} == {
        "05.png": "it cannot be read (Input/output error)",
        "gone.png": "it cannot be read (No such file or directory)",
    }
    assert found.num_decoded == 12
    monkeypatch.undo()
    shutil.copy(root / "01.png", root / "gone.png")
    again = prepared(root, names)
    assert (again.num_decoded, again.rejected) == (2, {})
    check(again, root)


def test_a_complete_cache_needs_no_right_to_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "cache/.lock")

    found = prepared(root, files(root)[:6])
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert prepared(root, files(root)[:6]).rows == found.rows
    with pytest.raises(OSError, match=r"keep prepared images in .*Permission denied.*paths\.cache_dir"):
        prepared(root)


def test_a_cache_of_another_version_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    earlier = folder_of(root).with_name(folder_of(root).name.partition("-pillow")[0] + "-pillow1.0-v1")
    earlier.mkdir(parents=True)
    prepared(root)
    assert f"images prepared by another version are not used: '{earlier}'; it may be deleted" in caplog.text


def test_workers_below_one_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="worker processes to be at least 1 but got 0"):
        prepared(root, workers=0)


def test_what_was_cut_off_does_not_come_back_when_the_file_has_grown_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_MAX_CHECKED", 1)
    prepared(root)
    cut("pixels.u8", 8 * SIZE * SIZE)(folder_of(root))
    assert prepared(root, files(root)[6:10]).num_decoded == 2
    found = prepared(root)
    assert found.num_decoded == 2
    check(found, root)


@pytest.mark.parametrize("lost", ["index.jsonl", "everything"])
def test_a_run_never_reads_what_another_put_in_the_place_of_its_images(root: Path, lost: str) -> None:
    first = prepared(root)
    reading, later = first.images(files(root)[:6]), first.images(files(root)[6:])
    before = reading.read(range(6))
    if lost == "everything":
        shutil.rmtree(folder_of(root))
    else:
        (folder_of(root) / lost).unlink()
    check(prepared(root, files(root)[::-1]), root)
    np.testing.assert_array_equal(reading.read(range(6)), before)
    if lost == "everything":
        with pytest.raises(OSError, match=r"prepared images in .* that the run began with"):
            later.read([0])
    else:
        expected = resize(read_gray(root / "06.png"), SIZE, "bicubic")
        np.testing.assert_array_equal(later.read([0])[0], expected)


def test_a_known_broken_image_stops_a_run_before_the_others_are_decoded(root: Path) -> None:
    (root / "03.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"03\.png"):
            prepared(root)
        assert len((folder_of(root) / "index.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [('"row": 4', '"row": -3'), ('"row": 4', '"row": "4"'), ('"row": 4, ', ""), ('"row": 4', '"row": 2')],
)
def test_an_index_line_that_cannot_be_true_is_not_believed(root: Path, old: str, new: str) -> None:
    prepared(root)
    path = folder_of(root) / "index.jsonl"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    found = prepared(root)
    assert found.num_decoded == 8  # that line, and what follows it
    check(found, root)
