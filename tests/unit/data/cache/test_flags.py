"""The cache keeps the quality flags of what it decoded, and knows which of its images are equal."""

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.data.cache import (
    CacheSpec,
    PreparedImages,
    describe_flags,
    find_equal_images,
    find_prepared,
    prepare_images,
    store,
)
from cxr_lightning.data.cache.index_lines import IndexEntry, can_be_read_back, parse_entry
from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import read_image
from tests.films import film, write_films
from tests.unit.data.cache.test_damage import with_checksum

SIZE = 32
FLAG = QualityFlag("inverted", "it is likely inverted")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight films; two of them are inverted, one is narrow and one blank."""
    root = tmp_path / "set"
    write_films(root, 8)
    for number in (1, 4):
        Image.fromarray(255 - film(number)).save(root / f"{number:02d}.png")
    Image.fromarray(film(5)[:, 12:52]).save(root / "05.png")
    Image.new("L", (64, 64), 90).save(root / "06.png")
    return root


def prepared(root: Path, names: Sequence[str] | None = None, *, force: bool = False, **options: Any) -> PreparedImages:
    files = sorted(path.name for path in root.iterdir()) if names is None else names
    settings: dict[str, Any] = {"workers": 1, "progress": False, **options}
    return prepare_images(files, CacheSpec(root, SIZE, force=force), root.parent / "cache", **settings)


def codes(found: PreparedImages) -> dict[str, list[str]]:
    return {file: [flag.code for flag in flags] for file, flags in found.flags.items()}


def listed(found: PreparedImages) -> list[tuple[str, str]]:
    with (found.folder / "quality_flags.csv").open(newline="") as file:
        return [(row["image"], row["flag"]) for row in csv.DictReader(file)]


FLAGGED = {"01.png": ["inverted"], "04.png": ["inverted"], "05.png": ["cropped"], "06.png": ["nearly_blank"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_flags_are_those_of_the_decoded_files(root: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.utils.subprocesses.IMAGES_PER_PROCESS", 3)
    found = prepared(root, workers=workers)
    assert codes(found) == FLAGGED
    for file in found.rows:
        assert found.flags.get(file, ()) == tuple(find_quality_flags(read_image(root / file), SIZE))
    again = prepared(root)
    assert (again.num_decoded, again.flags) == (0, found.flags)
    assert listed(found) == [(file, code) for file, (code,) in FLAGGED.items()]


def test_flags_depend_on_the_size_that_the_model_sees(root: Path) -> None:
    larger = prepare_images(["00.png"], CacheSpec(root, 65), root.parent / "cache", workers=1, progress=False)
    assert codes(larger) == {"00.png": ["tiny"]}
    assert codes(prepared(root, ["00.png"])) == {}


def test_the_list_of_flags_follows_the_images(root: Path) -> None:
    found = prepared(root)
    Image.fromarray(film(1)).save(root / "01.png")
    assert "01.png" not in codes(prepared(root))
    assert listed(found) == [("04.png", "inverted"), ("05.png", "cropped"), ("06.png", "nearly_blank")]
    for name in ("04.png", "05.png", "06.png"):
        (root / name).unlink()
    shutil.copy(root / "00.png", root / "08.png")
    assert prepared(root).flags == {}
    assert not (found.folder / "quality_flags.csv").exists()


def test_the_summary_names_the_most_frequent_flag_first(root: Path) -> None:
    words = prepared(root).describe_flags()
    assert words.startswith("4 of 8 images have quality flags: inverted 2, cropped 1, nearly_blank 1; listed in '"), (
        words
    )
    assert words.endswith("quality_flags.csv'")
    flags = {str(number): [FLAG] for number in range(12)}
    assert describe_flags(flags, 1000, Path("x")).startswith("12 of 1,000 images have quality flags: inverted 12;")


def test_what_is_prepared_already_is_known_without_decoding(root: Path) -> None:
    spec, cache = CacheSpec(root, SIZE), root.parent / "cache"
    names = sorted(path.name for path in root.iterdir())
    assert find_prepared(names, spec, cache).rows == {}
    prepared(root, names[:5])
    (root / "00.png").touch()
    found = find_prepared(names, spec, cache)
    assert (list(found.rows), found.num_decoded) == (names[1:5], 0)
    assert codes(found) == {"01.png": ["inverted"], "04.png": ["inverted"]}


ENTRY: dict[str, Any] = {"file": "a.png", "size": 5, "mtime_ns": 7, "row": 3, "crc32": 9}


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True), st.text(min_size=1, max_size=250))))
def test_flags_are_read_back_as_they_were_or_not_noted(flags: list[tuple[str, str]]) -> None:
    entry = IndexEntry("a.png", 1, 2, 3, 4, flags=tuple(flags))
    if can_be_read_back(entry.to_line()):
        assert parse_entry(entry.to_line()) == entry
        assert [tuple(flag) for flag in entry.quality_flags] == flags
    else:
        assert len(flags) > 16 or any(not message.isprintable() for _, message in flags)


def test_the_longest_flags_are_a_line_that_is_read() -> None:
    flags = tuple((f"flag_{number}", "\U0001f60a" * 250) for number in range(16))
    entry = IndexEntry("\U0001f60a" * 1000, 1, 2, 3, 4, flags=flags)
    assert can_be_read_back(entry.to_line())


@pytest.mark.parametrize(
    "flags",
    [
        [["inverted"]],
        [["inverted", "it is", "more"]],
        [["Inverted!", "it is"]],
        [["inverted", ""]],
        [["inverted", "it\x1b[2J is"]],
        [["inverted", "x" * 251]],
        [["inverted", "it is"]] * 17,
        [[1, "it is"]],
        ["inverted"],
        "inverted",
        {"inverted": "it is"},
        None,
    ],
)
def test_flags_that_cannot_be_true_are_refused(flags: object) -> None:
    assert parse_entry(with_checksum({**ENTRY, "flags": [list(FLAG)]})).quality_flags == (FLAG,)
    with pytest.raises(ValueError, match="line"):
        parse_entry(with_checksum({**ENTRY, "flags": flags}))


def test_a_rejected_file_has_no_flags() -> None:
    rejected = {"file": "a.png", "size": 5, "mtime_ns": 7, "reason": "it is empty", "flags": [list(FLAG)]}
    with pytest.raises(ValueError, match="quality flags of a file that was rejected"):
        parse_entry(with_checksum(rejected))


def test_a_changed_flag_is_damage_and_found(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = prepared(root)
    index = found.folder / "index.jsonl"
    index.write_text(index.read_text().replace('"inverted"', '"converted"', 1))
    again = prepared(root)
    assert "its index is damaged" in caplog.text
    assert again.flags == found.flags
    assert again.num_decoded == 7  # all from the damaged line on


def test_a_cache_of_the_former_format_is_another_versions(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "CACHE_FORMAT", 4)
        former = prepared(root).folder
    found = prepared(root)
    assert found.num_decoded == 8
    assert former.name.endswith("-v4")
    assert found.folder.name.endswith("-v5")
    assert f"images prepared by another version are not used: '{former}'" in caplog.text


def test_a_header_of_the_former_format_is_said_to_be_one(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = prepared(root).folder / "index.jsonl"
    first, *others = index.read_text().splitlines(keepends=True)
    header = {name: value for name, value in json.loads(first).items() if name != "force"}
    index.write_text("".join([json.dumps({**header, "format": 4}) + "\n", *others]))
    assert prepared(root).num_decoded == 8
    assert "its settings are format 4, not 5" in caplog.text


def test_forced_images_are_a_cache_of_their_own(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    usual, forced = prepared(root), prepared(root, force=True)
    assert (usual.num_decoded, forced.num_decoded) == (8, 8)
    assert "another version" not in caplog.text
    assert CacheSpec(root, SIZE).folder_name.replace("-bilinear-", "-bilinear-force-") == forced.folder.name
    assert prepared(root).num_decoded == prepared(root, force=True).num_decoded == 0


def test_equal_images_are_grouped_and_blank_ones_are_not(root: Path) -> None:
    for source, copies in {"00.png": ["10.png", "11.png"], "02.png": ["12.png"], "06.png": ["13.png"]}.items():
        for copy in copies:
            Image.open(root / source).save(root / copy, compress_level=0)  # other bytes, the same pixels
    Image.new("L", (64, 64), 1).save(root / "14.png")
    Image.new("L", (64, 64), 1).save(root / "15.png")
    groups = find_equal_images(prepared(root))
    assert groups == [("00.png", "10.png", "11.png"), ("02.png", "12.png")]


def test_images_of_one_checksum_are_compared_by_their_pixels(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.data.cache.decode.zlib", SimpleNamespace(crc32=lambda _: 7))
    monkeypatch.setattr("cxr_lightning.data.cache.pixels.zlib", SimpleNamespace(crc32=lambda _: 7))
    shutil.copy(root / "03.png", root / "07.png")
    found = prepared(root)
    assert set(found.checksums.values()) == {7}
    assert find_equal_images(found) == [("03.png", "07.png")]
    assert find_equal_images(replace(found, checksums={})) == []


def test_what_is_equal_is_equal_by_an_independent_comparison(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    generator = np.random.default_rng(3)
    numbers = generator.integers(0, 12, 30)
    for place, number in enumerate(numbers):
        Image.fromarray(film(int(number))).save(root / f"{place:02d}.png")
    expected = {
        frozenset(f"{place:02d}.png" for place in np.flatnonzero(numbers == number))
        for number in numbers
        if (numbers == number).sum() > 1
    }
    assert {frozenset(group) for group in find_equal_images(prepared(root))} == expected
