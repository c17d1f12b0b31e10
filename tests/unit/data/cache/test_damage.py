"""Damaged caches: whatever byte changes, and wherever a file is cut off or replaced, no image has wrong pixels."""

import errno
import json
import multiprocessing
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.data.cache import CacheSpec, PreparedImages, build, prepare_images, request, store
from cxr_lightning.data.cache.index_lines import IndexEntry, can_be_read_back, parse_entry
from cxr_lightning.data.dataloader import DistributedShardSampler, build_image_loader
from cxr_lightning.data.dataset import ChestXRayDataset
from cxr_lightning.utils.unexpected import message_of
from tests.slow_cases import one_in

SIZE, COUNT = 8, 400
ROW_BYTES = SIZE * SIZE
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE), dtype=np.uint8)
NAMES = [f"images/{number:03d}.bmp" for number in range(COUNT)]


class Cache:
    """A prepared cache of 400 images whose files have the same size and time."""

    def __init__(self, folder: Path) -> None:
        self.spec = CacheSpec(folder / "set", SIZE)
        self.cache_dir = folder / "cache"
        self.folder = self.cache_dir / self.spec.folder_name
        self.index, self.pixels = self.folder / "index.jsonl", self.folder / "pixels.u8"

    def prepare(self, *, verify: bool = False) -> PreparedImages:
        return prepare_images(NAMES, self.spec, self.cache_dir, workers=1, progress=False, verify=verify)

    def read(self) -> NDArray[np.uint8]:
        return self.prepare().images(NAMES).read(range(COUNT))

    def change(self, path: Path, place: int, value: int) -> None:
        content = bytearray(path.read_bytes())
        content[place] ^= value
        path.write_bytes(content)

    def rewrite(self, edit: Callable[[list[bytes]], list[bytes]]) -> None:
        self.index.write_bytes(b"".join(edit(self.index.read_bytes().splitlines(keepends=True))))


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    cache = Cache(tmp_path_factory.mktemp("intact"))
    (cache.spec.root / "images").mkdir(parents=True)
    for name, pixels in zip(NAMES, PIXELS, strict=True):
        Image.fromarray(pixels).save(cache.spec.root / name)
        os.utime(cache.spec.root / name, (1_500_000_000, 1_500_000_000))
    cache.prepare()
    return cache


@pytest.fixture
def cache(intact: Cache) -> Cache:
    """The same cache as it was prepared, for a test to damage."""
    return restored(intact)


def restored(intact: Cache) -> Cache:
    backup = intact.cache_dir.with_name("backup")
    if not backup.exists():
        shutil.copytree(intact.cache_dir, backup)
    shutil.rmtree(intact.cache_dir)
    shutil.copytree(backup, intact.cache_dir)
    return intact


def with_checksum(values: dict[str, object]) -> bytes:
    content = json.dumps(values).encode()[:-1]
    return content + b', "line_crc32": %d}\n' % zlib.crc32(content)


def assert_one_line(error: BaseException) -> None:
    assert "\n" not in str(error)
    assert str(error).startswith("Expected ")


@given(st.sampled_from(["index.jsonl", "pixels.u8"]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@settings(max_examples=15, deadline=None)
def test_a_changed_byte_is_found_wherever_it_is(intact: Cache, name: str, place: float, value: int) -> None:
    cache = restored(intact)
    path = cache.folder / name
    cache.change(path, int(place * path.stat().st_size), value)
    prepared = cache.prepare()
    try:
        found = prepared.images(NAMES).read(range(COUNT))
        message = ""
    except OSError as error:
        message = str(error)
        found = cache.read()  # a new start repairs it
    expected = f"row {int(place * COUNT)} ('images/{int(place * COUNT):03d}.bmp')" if name == "pixels.u8" else "none"
    assert prepared.num_decoded > 0 or expected in message
    np.testing.assert_array_equal(found, PIXELS)
    assert cache.prepare().num_decoded == 0


def index_places(intact: Cache) -> dict[str, tuple[int, int]]:
    """A digit of every number, a letter of every kind of text, and line ends: place in the index, and what to flip."""
    content = intact.index.read_bytes()
    line = content.index(b'{"file": "images/005.bmp"')
    places = {key: content.index(f'"{key}": '.encode(), line) + len(key) + 4 for key in ("size", "mtime_ns", "row")}
    places |= {key: content.index(f'"{key}": '.encode(), line) + len(key) + 4 for key in ("crc32", "line_crc32")}
    places |= {"file": content.index(b"005", line) + 2, "header": content.index(b"image_size"), "first": 0}
    ends = {"merged lines": (line - 1, 0x2A), "split line": (line + 9, ord("i") ^ ord("\n"))}
    return {name: (place, 2) for name, place in places.items()} | ends


@pytest.mark.parametrize(
    "where",
    [
        *("file", "header", "crc32", "merged lines"),
        *(
            pytest.param(where, marks=pytest.mark.slow)
            for where in ("size", "mtime_ns", "row", "line_crc32", "first", "split line")
        ),
    ],
)
def test_a_changed_byte_of_any_part_of_the_index_is_found(
    cache: Cache, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    place, value = index_places(cache)[where]
    cache.change(cache.index, place, value)
    np.testing.assert_array_equal(cache.read(), PIXELS)
    assert "its index is damaged after" in caplog.text


def exchange(key: str, lines: list[bytes]) -> list[bytes]:
    """Exchange a value of two lines; each line's own checksum stays."""
    first, second = (json.loads(line) for line in lines[3:5])
    first[key], second[key] = second[key], first[key]
    changed = [json.dumps(values).encode() + b"\n" for values in (first, second)]
    return [*lines[:3], *changed, *lines[5:]]


EDITS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "file names exchanged": lambda lines: exchange("file", lines),
    "rows exchanged": lambda lines: exchange("row", lines),
    "checksums exchanged": lambda lines: exchange("crc32", lines),
    "a line twice": lambda lines: [*lines[:5], *lines[4:]],
    "a line lost": lambda lines: [*lines[:4], *lines[5:]],
    "no header": lambda lines: lines[1:],
    "another header": lambda lines: [lines[0].replace(b"bilinear", b"nearest"), *lines[1:]],
    "junk": lambda lines: [*lines[:5], *[b"\xff{junk\n"] * 1_000_000],
    "nested": lambda lines: [*lines[:5], b"[" * 99_000 + b"\n"],
    "a nested header": lambda lines: [b'{"format":' * 9_000 + b"\n", *lines[1:]],
    "a long line": lambda lines: [*lines[:5], b" " * 300_000 + b"\n", *lines[5:]],
    "a big number": lambda lines: [*lines[:5], with_checksum({"file": "a", "size": int("9" * 4000)})],
}


@pytest.mark.parametrize("name", one_in(3, EDITS))
def test_an_index_that_was_edited_is_repaired(cache: Cache, name: str) -> None:
    cache.rewrite(EDITS[name])
    np.testing.assert_array_equal(cache.read(), PIXELS)
    assert cache.prepare().num_decoded == 0


ENTRY = {"file": "images/003.bmp", "size": 5, "mtime_ns": 7, "row": 3, "crc32": 9}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from([*ENTRY, "reason", "remedy", "other"]), JSON_VALUES)
def test_a_line_is_of_the_right_types_or_refused(key: str, value: object) -> None:
    line = with_checksum({**ENTRY, key: value})
    try:
        entry = parse_entry(line)
    except ValueError:
        return
    for name, expected in (("file", str), ("size", int), ("mtime_ns", int), ("row", int), ("crc32", int)):
        assert type(getattr(entry, name)) is expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("row", 10**30),
        ("row", -1),
        ("row", 3.0),
        ("row", True),
        ("size", -5),
        ("size", "5"),
        ("mtime_ns", "1"),
        ("mtime_ns", 2**70),
        ("crc32", 2**32),
        ("crc32", None),
        ("file", "a\nb.png"),
        ("file", "\x1b[2J.png"),
        ("file", "/etc/passwd"),
        ("file", "images/../../a.png"),
        ("file", ""),
        ("file", "\udcff.png"),
        ("file", "a\u202eb.png"),
        ("file", ["a"]),
        ("reason", "it has a row as well"),
        ("other", 1),
    ],
)
def test_a_line_that_cannot_be_true_is_refused(key: str, value: object) -> None:
    parse_entry(with_checksum(ENTRY))
    with pytest.raises(ValueError, match="line"):
        parse_entry(with_checksum({**ENTRY, key: value}))


def test_only_what_can_be_read_back_is_noted() -> None:
    assert can_be_read_back(IndexEntry("a.png", 1, 2, 3, 4).to_line())
    for name in ("a\tb.png", "\udcff.png", "/a.png"):
        assert not can_be_read_back(IndexEntry(name, 1, 2, 3, 4).to_line())
    assert not can_be_read_back(IndexEntry("a.png", -1, -1, 3, 4).to_line())  # of a file that cannot be looked at


def test_an_endless_index_is_not_read(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with cache.index.open("r+b") as file:
        file.truncate(5_000_000_000)  # one line of zeros
    assert len(store.read_index(cache.folder, cache.spec).entries) == 0
    np.testing.assert_array_equal(cache.read(), PIXELS)
    monkeypatch.setattr(store, "_MAX_INDEX_BYTES", 10**11)
    with cache.index.open("r+b") as file:
        file.truncate(5_000_000_000)
    assert "longer than" in store.read_index(cache.folder, cache.spec).error


@pytest.mark.parametrize("name", ["index.jsonl", "pixels.u8"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_an_error_and_not_waited_for(cache: Cache, name: str, kind: str) -> None:
    path = cache.folder / name
    path.unlink()
    put(kind, path)
    with pytest.raises(OSError, match=rf"(no regular file|Is a directory): '.*{name}'") as caught:
        cache.prepare()
    assert_one_line(caught.value)


def put(kind: str, path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "another file":
        path.with_name("copy").write_bytes(PIXELS[::-1].tobytes())
        path.with_name("copy").replace(path)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "another file", "nothing"])
def test_pixels_that_were_replaced_during_a_run_are_one_line(cache: Cache, kind: str) -> None:
    first = cache.prepare()
    before, later = first.images(NAMES[:5]), first.images(NAMES)
    before.read([0])
    cache.pixels.rename(cache.folder / "old")
    put(kind, cache.pixels)
    with pytest.raises(
        OSError, match=r"that the run began with but the file was replaced \(.*Start it again"
    ) as caught:
        later.read([0])
    assert_one_line(caught.value)
    np.testing.assert_array_equal(before.read(range(5)), PIXELS[:5])  # still the file that was opened
    if kind in ("another file", "nothing"):
        np.testing.assert_array_equal(cache.read(), PIXELS)


def test_pixels_that_are_cut_off_during_a_run_are_one_line(cache: Cache) -> None:
    images = cache.prepare().images(NAMES)
    images.read(range(COUNT))
    os.truncate(cache.pixels, 100 * ROW_BYTES + 5)
    for indices in ([0], [399]):
        with pytest.raises(OSError, match=r"at least 25,600 bytes .* cut off and has 6,405\. Start again") as caught:
            images.read(indices)
        assert_one_line(caught.value)
    again = cache.prepare()
    assert again.num_decoded == 300
    np.testing.assert_array_equal(again.images(NAMES).read(range(COUNT)), PIXELS)


def test_a_disk_that_fails_is_one_line(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(OSError, match=r"pixels\.u8' but got: Input/output error\. Check its disk") as caught:
        cache.read()
    assert_one_line(caught.value)


def invert(cache: Cache, *rows: int) -> None:
    with cache.pixels.open("r+b") as file:
        for row in rows:
            file.seek(row * ROW_BYTES)
            file.write((255 - PIXELS[row]).tobytes())


@pytest.fixture
def check_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "_MAX_CHECKED", 1)  # only the first image is compared before a run


@pytest.mark.usefixtures("check_one")
@pytest.mark.parametrize("way", ["a new start", "cxr prepare --verify"])
def test_damaged_rows_are_counted_named_and_prepared_again(cache: Cache, way: str) -> None:
    invert(cache, 7, 9, 300)
    images = cache.prepare().images(NAMES)
    np.testing.assert_array_equal(images.read([0, 1]), PIXELS[:2])
    expected = rf"2 of 5 that were read have changed: row 9 \('images/009\.bmp'\) has checksum {inverted_crc(9)}, not"
    with pytest.raises(OSError, match=expected + r" .*Start again, or run cxr prepare --verify: both") as caught:
        images.read([5, 9, 8, 7, 6])
    assert_one_line(caught.value)
    if way != "a new start":
        (cache.folder / ".verify").unlink()
    repaired = cache.prepare(verify=way != "a new start")
    assert repaired.num_decoded == 3
    np.testing.assert_array_equal(repaired.images(NAMES).read(range(COUNT)), PIXELS)
    invert(cache, 20)
    assert cache.prepare().num_decoded == 0  # the next start compares a few again


@pytest.mark.usefixtures("check_one")
def test_a_request_ends_only_once_all_rows_were_compared(cache: Cache) -> None:
    """A run that reads some of the images does not take from the others the comparison that they need."""
    invert(cache, 9)
    with pytest.raises(OSError, match="row 9"):
        cache.read()
    some = prepare_images(NAMES[20:30], cache.spec, cache.cache_dir, workers=1, progress=False)
    assert some.num_decoded == 0
    assert (cache.folder / ".verify").exists()
    assert cache.prepare().num_decoded == 1
    assert not (cache.folder / ".verify").exists()


@pytest.mark.usefixtures("check_one")
def test_a_request_that_is_made_during_a_comparison_stays(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def request_meanwhile(*arguments: Any) -> list[str]:
        os.utime(marker, ns=(1, 1))  # as if it had been made again
        return compare(*arguments)

    marker, compare = cache.folder / ".verify", request.other_corrupted_files
    marker.touch()
    monkeypatch.setattr(build, "other_corrupted_files", request_meanwhile)
    cache.prepare()
    assert marker.exists()
    monkeypatch.undo()
    cache.prepare()
    assert not marker.exists()


def test_rows_are_read_and_compared_on_systems_without_pread(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")  # as on Windows
    np.testing.assert_array_equal(cache.read(), PIXELS)


class CountedMask(np.ndarray[Any, np.dtype[np.bool_]]):
    """Counts how many rows it was asked about."""

    asked = 0

    def __getitem__(self, key: Any) -> Any:  # as of numpy
        CountedMask.asked += np.size(key)
        return super().__getitem__(key)


def test_the_state_of_all_rows_is_not_asked_for_in_every_batch(cache: Cache) -> None:
    prepared = cache.prepare()
    prepared.verified_rows.mask = np.zeros(COUNT, np.bool_).view(CountedMask)
    images = prepared.images(NAMES)
    images.read([0, 1])
    CountedMask.asked = 0
    for _ in range(100):
        images.read([0, 1])
    assert CountedMask.asked <= 100 * 3 + COUNT


def inverted_crc(row: int) -> str:
    return f"{zlib.crc32((255 - PIXELS[row]).tobytes()):08x}"


@pytest.mark.usefixtures("check_one")
def test_a_folder_that_is_only_read_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    invert(cache, 7)
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OSError, match=r"Run cxr prepare --verify where '.*' may be written to"):
        cache.read()


@pytest.mark.usefixtures("check_one")
@pytest.mark.parametrize("workers", [0, 2])
def test_rows_are_compared_once_in_all_processes_and_errors_arrive_as_one_line(cache: Cache, workers: int) -> None:
    prepared = cache.prepare()
    loaders = []
    for _ in range(2):
        dataset = ChestXRayDataset(prepared.images(NAMES), np.zeros((COUNT, 1), np.float32))
        loaders.append(build_image_loader(dataset, DistributedShardSampler(COUNT), 25, workers))
    first, second = loaders
    np.testing.assert_array_equal(np.concatenate([batch["image"][:, 0] for batch in first]), PIXELS)
    invert(cache, *range(COUNT))
    for loader in (first, second):  # persistent processes, and new ones: nothing is compared again
        np.testing.assert_array_equal(np.concatenate([batch["image"][:, 0] for batch in loader]), 255 - PIXELS)
    restored(cache)
    invert(cache, 30, 31)
    dataset = ChestXRayDataset(cache.prepare().images(NAMES), np.zeros((COUNT, 1), np.float32))
    with pytest.raises(OSError, match="2 of 25") as caught:
        list(build_image_loader(dataset, DistributedShardSampler(COUNT), 25, workers))
    assert message_of(caught.value).startswith("Expected the prepared images in")
    assert "have changed: row 30" in message_of(caught.value)


@pytest.mark.slow
def test_verified_rows_are_shared_with_processes_that_are_not_forked(cache: Cache) -> None:
    prepared = cache.prepare()
    process = multiprocessing.get_context("spawn").Process(target=prepared.images(NAMES).read, args=([3, 4],))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert np.flatnonzero(prepared.verified_rows.mask).tolist() == [3, 4]


@pytest.mark.slow
@pytest.mark.usefixtures("check_one")
def test_without_shared_memory_each_process_keeps_its_own_verified_rows(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cxr_lightning.data.cache.verified_rows.RawArray", refuse)
    np.testing.assert_array_equal(cache.read(), PIXELS)
    invert(cache, 7)
    with pytest.raises(OSError, match="row 7"):
        cache.read()
