"""Films that are unusual, or in two splits under two names: told when they are prepared, and left out if requested."""

import csv
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from cxr_lightning.data.data_errors import PatientOverlapError
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.duplicate_images import duplicates_within_splits, find_duplicates
from cxr_lightning.data.excluded_images import write_excluded_images
from cxr_lightning.data.manifest import SPLITS
from cxr_lightning.data.record import recorded_settings
from cxr_lightning.data.table_problems import DataProblemsError
from tests.films import film, write_films
from tests.unit.imaging.test_dicom import content_of, inverse

COUNT = 18


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eighteen films, each of a patient of its own: six for training, six for validation, six for testing."""
    root = tmp_path / "set"
    names = write_films(root, COUNT)
    write_labels(root, names, [f"p{number}" for number in range(COUNT)])
    return root


def write_labels(root: Path, names: Sequence[str], patients: Sequence[str]) -> None:
    rows = [f"{name},{patients[row]},{SPLITS[row // 6]},{row // 2 % 2}" for row, name in enumerate(names)]
    (root / "labels.csv").write_text("\n".join(["image,patient,split,Mass", *rows]) + "\n")


def module(root: Path, **settings: Any) -> ChestXRayDataModule:
    source = CsvLayout("labels.csv", image_column="image", patient_column="patient", split_column="split")
    cache = {"cache": True, "cache_dir": str(root.parent / "cache")}
    return ChestXRayDataModule(
        str(root), source, labels=["Mass"], image_size=32, num_workers=0, **{**cache, **settings}
    )


def ready(root: Path, **settings: Any) -> ChestXRayDataModule:
    datamodule = module(root, **settings)
    datamodule.setup()
    return datamodule


def invert(root: Path, *numbers: int) -> None:
    for number in numbers:
        Image.fromarray(255 - film(number)).save(root / f"{number:02d}.png")


def names_of(datamodule: ChestXRayDataModule) -> set[str]:
    return set(datamodule.manifest.table["image_id"])


def listed(datamodule: ChestXRayDataModule, folder: Path) -> dict[str, str]:
    write_excluded_images(datamodule.manifest, folder)
    with (folder / "left_out.csv").open(newline="") as file:
        return {row["image_id"]: row["reason"] for row in csv.DictReader(file)}


def test_flags_are_summed_up_in_one_line_and_the_images_stay(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ready(root)
    assert "quality flags" not in caplog.text
    invert(root, 2, 9)
    datamodule = ready(root)
    (line,) = [record.getMessage() for record in caplog.records if "quality flags" in record.getMessage()]
    (folder,) = root.parent.glob("cache/*")
    assert line == f"2 of 18 images have quality flags: inverted 2; listed in '{folder / 'quality_flags.csv'}'"
    assert len(names_of(datamodule)) == COUNT
    assert datamodule.manifest.rejected == {}


def test_flagged_images_are_left_out_if_that_is_requested(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    invert(root, 2, 9)
    datamodule = ready(root, on_flag="skip")
    assert names_of(datamodule) == {f"{number:02d}.png" for number in range(COUNT)} - {"02.png", "09.png"}
    reasons = listed(datamodule, tmp_path)
    assert list(reasons) == ["02.png", "09.png"]
    assert reasons["02.png"].startswith("quality flags: inverted (it is likely inverted")
    assert "inverted 2; listed in" in caplog.text
    assert "; going on without them" in caplog.text
    assert len(datamodule.dataset("train")) == 5
    record = datamodule.record()
    assert (record["rejected"], record["settings"]["on_flag"]) == (2, "skip")


def test_flagged_images_stop_the_run_if_that_is_requested(root: Path) -> None:
    invert(root, *range(1, 16, 2))
    with pytest.raises(ValueError, match=r"Expected images without quality flags \(data\.on_flag=error\)") as caught:
        ready(root, on_flag="error")
    words = str(caught.value)
    assert f"but 8 of 18 images have quality flags: '{root / '01.png'}': inverted (it is likely" in words
    assert "09.png" in words
    assert "11.png" not in words
    assert "; and more. All are listed in '" in words
    assert "Replace them, set 'data.on_flag=skip' to go on without them, or set 'data.on_flag=keep'" in words
    assert len(names_of(ready(root, on_flag="skip"))) == COUNT - 8


def test_a_remedy_that_would_leave_a_split_empty_is_not_offered(root: Path) -> None:
    invert(root, *range(6, 12))
    with pytest.raises(DataProblemsError, match="no image is left for val") as caught:
        ready(root, on_flag="error")
    assert "data.split=patient data.on_flag=skip to go on without these images" in str(caught.value)
    assert "or replace the flagged images (or use them: data.on_flag=keep)" in str(caught.value)
    with pytest.raises(ValueError, match=r"got none of the 12 images that remain \(6 of 18 images have quality flags"):
        ready(root, on_flag="skip")
    assert len(names_of(ready(root, on_flag="skip", split="patient"))) == 12


@pytest.mark.parametrize("prepared_before", [False, True])
def test_all_that_is_wrong_is_told_together(root: Path, prepared_before: bool) -> None:
    invert(root, 2)
    shutil.copy(root / "00.png", root / "13.png")
    if prepared_before:
        ready(root, drop_leaked=True)
    patients = [f"p{number}" for number in range(COUNT)]
    patients[1] = patients[17]  # in train and test
    write_labels(root, [f"{number:02d}.png" for number in range(COUNT)], patients)
    content = (root / "15.png").read_bytes()
    (root / "15.png").write_bytes(content[:60] + bytes(len(content) - 72) + content[-12:])  # only decoding shows it
    with pytest.raises(ValueError, match="patients have images in more than one split: p17") as caught:
        ready(root, on_flag="error")
    words = str(caught.value)
    if prepared_before:  # what the cache knows is told at once
        assert "1 pair of images in two splits has the same pixels: 00.png (train) = 13.png (test)" in words
        assert "1 of 16 images have quality flags" in words
        assert "Set data.drop_leaked=true data.on_flag=skip to go on without these images" in words
        kinds = [PatientOverlapError, PatientOverlapError, ValueError]
        assert isinstance(caught.value, DataProblemsError)
        assert [type(error) for error in caught.value.errors] == kinds
    with pytest.raises(DataProblemsError) as again:
        ready(root, on_flag="error", drop_leaked=True)
    assert "1 of 17 images cannot be read" in str(again.value)
    assert "Set data.on_bad_image=skip data.on_flag=skip to go on without these images" in str(again.value)
    done = ready(root, on_flag="skip", drop_leaked=True, on_bad_image="skip")
    assert names_of(done) == {f"{number:02d}.png" for number in range(COUNT)} - {"00.png", "01.png", "02.png", "15.png"}


@pytest.mark.parametrize("policy", ["skip", "error"])
def test_flags_need_the_cache(root: Path, policy: str) -> None:
    with pytest.raises(ValueError, match=rf"Expected prepared images with 'data\.on_flag={policy}' but they are off"):
        module(root, cache=False, cache_dir=None, on_flag=policy)
    with pytest.raises(ValueError, match=r"`data\.on_flag` to be one of \['keep', 'skip', 'error'\] but got 'drop'"):
        module(root, on_flag="drop")


def test_without_the_cache_it_is_said_that_flags_are_not_looked_for(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    invert(root, 2)
    shutil.copy(root / "00.png", root / "13.png")
    assert len(names_of(ready(root, cache=False, cache_dir=None))) == COUNT
    assert "have quality flags" not in caplog.text
    assert "without prepared images, quality flags and equal images are not looked for" in caplog.text


def test_one_picture_in_two_splits_is_a_leak(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for source, copy in ((0, 13), (1, 7), (8, 14)):
        Image.open(root / f"{source:02d}.png").save(root / f"{copy:02d}.png", compress_level=0)
    with pytest.raises(PatientOverlapError, match=r"Expected no image in two splits but 3 pairs of images") as caught:
        ready(root)
    words = str(caught.value)
    assert "00.png (train) = 13.png (test), 01.png (train) = 07.png (val), 08.png (val) = 14.png (test)" in words
    assert "Set 'data.drop_leaked=true' to drop 3 of these images, those of the earlier split" in words
    datamodule = ready(root, drop_leaked=True)
    assert listed(datamodule, tmp_path) == {
        "00.png": "the same pixels as '13.png' (test)",
        "01.png": "the same pixels as '07.png' (val)",
        "08.png": "the same pixels as '14.png' (test)",
    }
    assert "dropped 3 images from the earlier split (data.drop_leaked)" in caplog.text
    assert names_of(datamodule) == {f"{number:02d}.png" for number in range(COUNT)} - {"00.png", "01.png", "08.png"}


def test_another_division_is_no_remedy_for_one_picture_of_two_patients(root: Path) -> None:
    for copy in range(6, 12):
        shutil.copy(root / "00.png", root / f"{copy:02d}.png")  # all of the validation split
        shutil.copy(root / "00.png", root / f"{copy + 6:02d}.png")
    with pytest.raises(DataProblemsError, match="no image is left for val") as caught:
        ready(root)
    assert "7 pairs of images in two splits have the same pixels: 00.png (train) = 12.png (test), " in str(caught.value)
    assert str(caught.value).endswith("left for val. Remove one image of each pair from the label file.")


def test_one_picture_twice_in_a_split_is_remarked(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(root / "00.png", root / "03.png")
    caplog.set_level(logging.INFO)
    assert len(names_of(ready(root))) == COUNT
    assert "1 image has the same pixels as another of its split: 00.png = 03.png" in caplog.text
    shutil.copy(root / "00.png", root / "04.png")
    ready(root)
    assert "2 images have the same pixels as another image of its split" not in caplog.text
    assert "2 images have the same pixels as another of their split: 00.png = 03.png = 04.png" in caplog.text


def test_blank_images_are_no_twins(root: Path) -> None:
    for number in (0, 7, 14):
        Image.new("L", (64, 64), 1).save(root / f"{number:02d}.png")
    for number in (1, 8, 15):
        Image.new("L", (64, 64), 128).save(root / f"{number:02d}.png")
    assert len(names_of(ready(root))) == COUNT


def test_settings_of_an_earlier_record_are_the_defaults(root: Path) -> None:
    record = ready(root).record()
    assert (record["settings"]["on_flag"], record["settings"]["force"]) == ("keep", False)
    settings = recorded_settings(record)
    layout, folder = module(root).source, settings.pop("root")
    for name in ("source", "on_flag", "force"):
        del settings[name]
    images = ChestXRayDataModule(folder, layout, **settings).images
    assert (images.on_flag, images.spec.force) == ("keep", False)


@pytest.mark.parametrize("cache", [False, True])
def test_what_is_no_radiograph_by_its_header_is_read_if_forced(root: Path, cache: bool) -> None:
    pixels = film(2)
    names = [f"{number:02d}.png" for number in range(COUNT)]
    for number in (2, 3):
        names[number] = f"{number:02d}.dcm"
        (root / names[number]).write_bytes(content_of(inverse(film(number), 8, Modality="XR")))
    write_labels(root, names, [f"p{number}" for number in range(COUNT)])
    options: dict[str, Any] = {} if cache else {"cache": False, "cache_dir": None}
    with pytest.raises(ValueError, match=r"no radiograph.*if the header is wrong, set --force, or data\.force=true"):
        list(ready(root, **options).train_dataloader())
    datamodule = ready(root, force=True, **options)
    row = datamodule.rows("train")["image_id"].tolist().index("02.dcm")
    expected = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(datamodule.dataset("train")[row]["image"][0].numpy(), expected)
    assert datamodule.record()["settings"]["force"] is True
    assert pydicom.dcmread(root / "02.dcm").Modality == "XR"


def test_every_image_with_a_twin_in_a_later_split_is_paired_with_the_last_one() -> None:
    table = pd.DataFrame(
        {
            "image_id": list("abcdefg"),
            "path": [f"/{name}" for name in "abcdefg"],
            "split": ["train", "val", "test", "train", "train", "val", "test"],
        }
    )
    groups = [("/a", "/b", "/c", "/d"), ("/e", "/f"), ("/g", "/absent")]
    assert [str(duplicate) for duplicate in find_duplicates(table, groups, SPLITS)] == [
        "a (train) = c (test)",
        "d (train) = c (test)",
        "b (val) = c (test)",
        "e (train) = f (val)",
    ]
    assert [str(duplicate) for duplicate in find_duplicates(table, groups, ("val", "test"))] == ["b (val) = c (test)"]
    assert duplicates_within_splits(table, groups) == [("a", "d")]
