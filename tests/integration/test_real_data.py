"""NIH's own files, where they lie beside the project (nothing of them is kept here), and files like them, made anew."""

import csv
import gzip
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr_lightning.data.data_errors import PatientOverlapError
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.datasets.walkthrough import WalkthroughLayout
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.splits import assign_splits
from cxr_lightning.imaging.reader import read_gray
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.labels import NIH_LABELS, WALKTHROUGH_LABELS
from tests.conftest import select_rows, write_nih

DATA = Path(__file__).parents[3] / "shared" / "data"
SAMPLE, LISTS, COURSE = DATA / "nih-sample", DATA / "nih-lists", DATA / "course"
needs_real = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real files are not beside the project ({DATA})")
SOURCES = ["made", pytest.param("real", marks=needs_real)]
COURSE_FILES = {"train": "train-small.csv", "val": "valid-small.csv", "test": "test.csv"}


class Sample(NamedTuple):
    """A folder in NIH's layout, and what is in it."""

    folder: Path
    images: int
    patients: int
    splits: dict[str, int]
    modes: dict[str, int]


@pytest.fixture(scope="module", params=SOURCES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    if request.param == "real":
        return Sample(SAMPLE, 200, 200, {"train_val": 151, "test": 49}, {"L": 196, "RGBA": 4})
    folder = write_nih(tmp_path_factory.mktemp("made") / "nih", patients=12, images_per_patient=1, size=64)
    for path in sorted((folder / "images").glob("*.png"))[:2]:  # as four of the real ones are
        Image.open(path).convert("RGBA").save(path)
    return Sample(folder, 12, 12, {"train_val": 9, "test": 3}, {"L": 10, "RGBA": 2})


class Course(NamedTuple):
    """A folder with the walk-through's files, and what is in it."""

    folder: Path
    splits: dict[str, int]
    leaked: int


@pytest.fixture(scope="module", params=SOURCES)
def course(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Course:
    if request.param == "real":
        return Course(COURSE, {"train": 875, "val": 109, "test": 420}, 11)
    folder = tmp_path_factory.mktemp("made") / "course"
    folder.mkdir()
    patients = {"train": range(1, 9), "val": range(7, 11), "test": range(11, 15)}  # 7 and 8 are in two files
    for split, name in COURSE_FILES.items():
        labels = WALKTHROUGH_LABELS if split != "test" else sorted(WALKTHROUGH_LABELS)  # another order, as in theirs
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, ["Image", *labels, "PatientId"])
            writer.writeheader()
            for patient in patients[split]:
                row = {label: (patient + column) % 3 == 0 for column, label in enumerate(WALKTHROUGH_LABELS)}
                image = f"{patient:08d}_{split}.png"
                writer.writerow({"Image": image, "PatientId": patient, **{k: int(v) for k, v in row.items()}})
    return Course(folder, {"train": 8, "val": 4, "test": 4}, 2)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full official tables, unpacked."""
    folder = tmp_path_factory.mktemp("nih")
    for packed in LISTS.glob("*.gz"):
        with gzip.open(packed, "rb") as source, (folder / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    return folder


@pytest.fixture(scope="module")
def full(tables: Path) -> Manifest:
    return NIHLayout().read(tables)


@pytest.fixture(scope="module")
def rows(tables: Path) -> list[dict[str, str]]:
    """The label file as the csv module reads it."""
    with (tables / "Data_Entry_2017_v2020.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_sample_is_read_whole(sample: Sample) -> None:
    manifest = NIHLayout().read(sample.folder)
    assert len(manifest.table) == sample.images
    assert manifest.table["patient_id"].nunique() == sample.patients
    assert manifest.table["split"].value_counts().to_dict() == sample.splits
    assert not manifest.table["path"].isna().any()
    assert not manifest.synthetic
    assert find_unreadable([Path(path) for path in manifest.table["path"]]) == []


def test_the_samples_color_images_are_read_as_the_gray_they_show(sample: Sample) -> None:
    modes: Counter[str] = Counter()
    for path in sorted((sample.folder / "images").glob("*.png")):
        with Image.open(path) as image:
            modes[image.mode] += 1
            if image.mode != "RGBA":
                continue
            red, green, blue, alpha = (np.asarray(band) for band in image.split())
        assert alpha.min() == 255
        np.testing.assert_array_equal(red, green)
        np.testing.assert_array_equal(red, blue)
        np.testing.assert_array_equal(read_gray(path), red)
    # The color-type bytes of the PNG headers say the same; the real folder's README says 197 and 3.
    assert modes == sample.modes


@needs_real
def test_a_sample_image_keeps_size_and_range() -> None:
    pixels = read_gray(SAMPLE / "images" / "00000002_000.png")
    assert pixels.shape == (1024, 1024)
    assert pixels.min() < 20
    assert pixels.max() > 200


@needs_real
def test_the_official_tables_have_the_published_sizes(full: Manifest) -> None:
    assert len(full.table) == 112_120
    assert full.table["patient_id"].nunique() == 30_805
    assert full.table["split"].value_counts().to_dict() == {"train_val": 86_524, "test": 25_596}
    assert full.table["path"].isna().all()  # the images are not here
    assert set(full.table["view_position"]) == {"PA", "AP"}
    assert set(full.table["sex"]) == {"M", "F"}
    by_patient = full.table.groupby("patient_id")["split"].nunique()
    assert (by_patient == 1).all()


@needs_real
def test_the_official_labels_equal_an_independent_count(full: Manifest, rows: list[dict[str, str]]) -> None:
    counts = Counter(name for row in rows for name in row["Finding Labels"].split("|"))
    assert full.targets().sum(axis=0, dtype=np.int64).tolist() == [counts[label] for label in NIH_LABELS]
    assert int((full.targets().sum(axis=1) == 0).sum()) == counts["No Finding"]
    assert full.table["image_id"].tolist() == [row["Image Index"] for row in rows]
    ages = [float(row["Patient Age"]) for row in rows]
    known = full.table["age"].notna().to_numpy()
    np.testing.assert_array_equal(full.table["age"][known], np.array(ages)[known])
    assert all(age > 120 for age, is_known in zip(ages, known, strict=True) if not is_known)


@needs_real
def test_the_official_boxes_are_all_on_test_images(full: Manifest) -> None:
    boxes = full.boxes
    assert len(boxes) == 984
    assert boxes["image_id"].nunique() == 880
    assert boxes["label"].nunique() == 8
    assert "Infiltration" in set(boxes["label"])
    assert set(boxes["image_id"]) <= set(full.table["image_id"][full.table["split"] == "test"])
    corners = boxes[["x", "y", "width", "height"]].to_numpy()
    assert corners.min() >= 0
    assert (corners[:, :2] + corners[:, 2:]).max() <= 1


@needs_real
def test_the_official_split_is_divided_by_patient(full: Manifest) -> None:
    table = assign_splits(full, "official", val_fraction=0.1).table
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    sizes = table["split"].value_counts()
    assert sizes["test"] == 25_596
    largest = full.table["patient_id"].value_counts().max()
    assert abs(sizes["val"] - 8652.4) <= largest


def test_the_course_files_leak_and_the_leak_can_be_dropped(course: Course) -> None:
    manifest = WalkthroughLayout().read(course.folder)
    assert manifest.table["split"].value_counts().to_dict() == course.splits
    with pytest.raises(PatientOverlapError, match=f"{course.leaked} patients have images in more than one split"):
        select_rows(manifest)
    table = select_rows(manifest, drop_leaked=True).table
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    sizes = table["split"].value_counts()
    assert (sizes["val"], sizes["test"]) == (course.splits["val"], course.splits["test"])  # only the earlier one loses


def test_the_course_files_labels_equal_an_independent_count(course: Course) -> None:
    manifest = WalkthroughLayout().read(course.folder)
    for split, name in COURSE_FILES.items():
        with (course.folder / name).open(newline="") as file:
            listed = list(csv.DictReader(file))
        part: pd.DataFrame = manifest.table[manifest.table["split"] == split]
        for label in manifest.labels:
            assert part[label].sum() == sum(int(row[label]) for row in listed)
