import csv
import json
import logging
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.phantom.build import build_phantom
from cxr_lightning.phantom.spec import PhantomSpec

SPEC = PhantomSpec(seed=1, train_images=60, val_images=20, test_images=40, image_size=64)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_phantom(tmp_path_factory.mktemp("fresh"), SPEC, workers=1)


@pytest.fixture
def copy(fresh: Path, tmp_path: Path) -> Path:
    """The set in another folder, to be damaged."""
    folder = tmp_path / SPEC.name
    (folder / "images").mkdir(parents=True)
    for path in fresh.rglob("*.*"):
        (folder / path.relative_to(fresh)).write_bytes(path.read_bytes())
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_two_processes_write_the_same_bytes_as_one(fresh: Path, tmp_path: Path) -> None:
    assert _contents(build_phantom(tmp_path, SPEC, workers=2)) == _contents(fresh)


def test_folder_holds_the_official_layout(fresh: Path) -> None:
    names = {"BBox_List_2017.csv", "Data_Entry_2017_v2020.csv", "train_val_list.txt", "test_list.txt", "phantom.json"}
    assert {path.name for path in fresh.iterdir()} == names | {"images"}
    assert len(list((fresh / "images").iterdir())) == 120


def test_label_table_has_the_official_header_and_known_values(fresh: Path) -> None:
    header, *rows = _table(fresh / "Data_Entry_2017_v2020.csv")
    assert ",".join(header) == (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    )
    assert len(rows) == 120
    for name, labels, visit, patient, age, sex, view, width, height, *spacing in rows:
        assert name == f"{int(patient):08d}_{int(visit):03d}.png"
        assert labels == "No Finding" or set(labels.split("|")) <= set(NIH_LABELS)
        assert 20 <= int(age) <= 95
        assert sex in "MF"
        assert view in ("PA", "AP")
        assert (width, height, spacing) == ("64", "64", ["6.25", "6.25"])  # 400 mm over 64 pixels


def test_lists_name_every_image_once_and_share_no_patient(fresh: Path) -> None:
    train_val = (fresh / "train_val_list.txt").read_text().split()
    test = (fresh / "test_list.txt").read_text().split()
    assert (len(train_val), len(test)) == (80, 40)
    assert {name[:8] for name in train_val}.isdisjoint(name[:8] for name in test)
    assert {*train_val, *test} == {path.name for path in (fresh / "images").iterdir()}


def test_images_are_8_bit_gray(fresh: Path) -> None:
    for path in (fresh / "images").iterdir():
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 64), "L")


def test_boxes_lie_in_the_frame_and_belong_to_listed_findings(fresh: Path) -> None:
    listed = {row[0]: row[1].split("|") for row in _table(fresh / "Data_Entry_2017_v2020.csv")[1:]}
    assert (fresh / "BBox_List_2017.csv").read_text().startswith("Image Index,Finding Label,Bbox [x,y,w,h],,,\n")
    rows = _table(fresh / "BBox_List_2017.csv")[1:]
    assert len(rows) > 60
    for name, spelling, *numbers in rows:
        x, y, width, height = map(float, numbers[:4])
        assert numbers[4:] == ["", "", ""]
        assert ("Infiltration" if spelling == "Infiltrate" else spelling) in listed[name]
        assert 0 <= x < x + width <= 1024
        assert 0 <= y < y + height <= 1024


def test_complete_set_is_returned_untouched(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert build_phantom(copy.parent, SPEC) == copy
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_interrupted_build_is_finished_and_good_images_are_kept(copy: Path, fresh: Path) -> None:
    paths = sorted((copy / "images").iterdir())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    for name in ("phantom.json", "BBox_List_2017.csv", "test_list.txt"):
        (copy / name).unlink()
    kept = paths[2].stat().st_mtime_ns
    build_phantom(copy.parent, SPEC, workers=1)
    assert _contents(copy) == _contents(fresh)
    assert paths[2].stat().st_mtime_ns == kept


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_damaged_set_is_repaired(copy: Path, fresh: Path) -> None:
    paths = sorted((copy / "images").iterdir())
    paths[3].write_bytes(paths[4].read_bytes())  # whole, but another row's
    paths[5].write_bytes(b"")
    image = paths[6].read_bytes()
    paths[6].write_bytes(image[:33] + _chunk(b"tEXt", b"Raw profile type exif\0x") + image[33:])
    table = copy / "Data_Entry_2017_v2020.csv"
    table.write_text(table.read_text().replace("No Finding", "Hernia", 1))
    build_phantom(copy.parent, SPEC, workers=1)
    assert _contents(copy) == _contents(fresh)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"spec": 1}'])
def test_unreadable_marker_is_written_again(copy: Path, fresh: Path, content: str) -> None:
    (copy / "phantom.json").write_text(content)
    build_phantom(copy.parent, SPEC, workers=1)
    assert _contents(copy) == _contents(fresh)


def test_marker_says_synthetic_and_what_was_made(fresh: Path) -> None:
    marker = json.loads((fresh / "phantom.json").read_text())
    assert marker["synthetic"] is True
    assert marker["counts"] == {"train_val": 80, "test": 40}
    assert marker["spec"]["seed"] == 1
    assert len(marker["image_bytes"]) == 120


def test_no_workers_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="worker processes to be at least 1 but got 0"):
        build_phantom(tmp_path, SPEC, workers=0)


def test_build_reports_start_and_end(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    next((copy / "images").iterdir()).unlink()
    with caplog.at_level(logging.INFO, logger="cxr_lightning.phantom"):
        build_phantom(copy.parent, SPEC, workers=1)
    assert [record.message.split()[0] for record in caplog.records] == ["Making", "Made"]
    assert "Making 1 images" in caplog.text


def test_failing_process_is_reported(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in list((copy / "images").iterdir())[:2]:
        path.unlink()
    monkeypatch.setattr("cxr_lightning.utils.subprocesses.IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr("cxr_lightning.phantom.worker._task", lambda *_: "not JSON")
    with pytest.raises(RuntimeError, match=r"(?s)Expected a worker process to finish .*JSONDecodeError"):
        build_phantom(copy.parent, SPEC, workers=2)
