"""The real NIH files beside the project, where they are: nothing of them is kept here."""

import csv
import gzip
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.datasets.walkthrough import WalkthroughLayout
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.splits import PatientOverlapError, assign_splits
from cxr_lightning.imaging.reader import read_gray
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.labels import NIH_LABELS

DATA = Path(__file__).parents[2] / "shared" / "data"
SAMPLE, LISTS, COURSE = DATA / "nih-sample", DATA / "nih-lists", DATA / "course"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real files are not beside the project ({DATA})")


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


def test_the_sample_is_read_whole() -> None:
    manifest = NIHLayout().read(SAMPLE)
    assert len(manifest.table) == manifest.table["patient_id"].nunique() == 200
    assert manifest.table["split"].value_counts().to_dict() == {"train_val": 151, "test": 49}
    assert not manifest.table["path"].isna().any()
    assert not manifest.synthetic
    assert find_unreadable([Path(path) for path in manifest.table["path"]]) == []


def test_the_samples_color_images_are_read_as_the_gray_they_show() -> None:
    modes: Counter[str] = Counter()
    for path in sorted((SAMPLE / "images").glob("*.png")):
        with Image.open(path) as image:
            modes[image.mode] += 1
            if image.mode != "RGBA":
                continue
            red, green, blue, alpha = (np.asarray(band) for band in image.split())
        assert alpha.min() == 255
        np.testing.assert_array_equal(red, green)
        np.testing.assert_array_equal(red, blue)
        np.testing.assert_array_equal(read_gray(path), red)
    # The color-type bytes of the PNG headers say the same; the folder's README says 197 and 3.
    assert modes == {"L": 196, "RGBA": 4}


def test_a_sample_image_keeps_size_and_range() -> None:
    pixels = read_gray(SAMPLE / "images" / "00000002_000.png")
    assert pixels.shape == (1024, 1024)
    assert pixels.min() < 20
    assert pixels.max() > 200


def test_the_official_tables_have_the_published_sizes(full: Manifest) -> None:
    assert len(full.table) == 112_120
    assert full.table["patient_id"].nunique() == 30_805
    assert full.table["split"].value_counts().to_dict() == {"train_val": 86_524, "test": 25_596}
    assert full.table["path"].isna().all()  # the images are not here
    assert set(full.table["view_position"]) == {"PA", "AP"}
    assert set(full.table["sex"]) == {"M", "F"}
    by_patient = full.table.groupby("patient_id")["split"].nunique()
    assert (by_patient == 1).all()


def test_the_official_labels_equal_an_independent_count(full: Manifest, rows: list[dict[str, str]]) -> None:
    counts = Counter(name for row in rows for name in row["Finding Labels"].split("|"))
    assert full.targets().sum(axis=0, dtype=np.int64).tolist() == [counts[label] for label in NIH_LABELS]
    assert int((full.targets().sum(axis=1) == 0).sum()) == counts["No Finding"]
    assert full.table["image_id"].tolist() == [row["Image Index"] for row in rows]
    ages = [float(row["Patient Age"]) for row in rows]
    known = full.table["age"].notna().to_numpy()
    np.testing.assert_array_equal(full.table["age"][known], np.array(ages)[known])
    assert all(age > 120 for age, is_known in zip(ages, known, strict=True) if not is_known)


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


def test_the_official_split_is_divided_by_patient(full: Manifest) -> None:
    table = assign_splits(full, "official", val_fraction=0.1).table
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    sizes = table["split"].value_counts()
    assert sizes["test"] == 25_596
    largest = full.table["patient_id"].value_counts().max()
    assert abs(sizes["val"] - 8652.4) <= largest


def test_the_course_files_leak_and_the_leak_can_be_dropped() -> None:
    manifest = WalkthroughLayout().read(COURSE)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 875, "val": 109, "test": 420}
    with pytest.raises(PatientOverlapError, match="11 patients have images in more than one split"):
        assign_splits(manifest, "walkthrough")
    table = assign_splits(manifest, "walkthrough", drop_leaked=True).table
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    sizes = table["split"].value_counts()
    assert (sizes["val"], sizes["test"]) == (109, 420)  # only the earlier split loses images


def test_the_course_files_labels_equal_an_independent_count() -> None:
    manifest = WalkthroughLayout().read(COURSE)
    for split, name in (("train", "train-small.csv"), ("val", "valid-small.csv"), ("test", "test.csv")):
        with (COURSE / name).open(newline="") as file:
            listed = list(csv.DictReader(file))
        part: pd.DataFrame = manifest.table[manifest.table["split"] == split]
        for label in manifest.labels:
            assert part[label].sum() == sum(int(row[label]) for row in listed)
