"""Labeled sets on which exported models are checked: which images, and which others calibrate."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cxr_lightning.data.labeled_set import read_labeled_set

LABELS = ("Effusion", "Mass")


def write_csv(folder: Path, header: str, rows: list[str]) -> Path:
    """A CSV of images that are there; the first cell of a row is the image."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        Image.new("L", (8, 8), number).save(folder / row.partition(",")[0])
    (folder / "mine.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "mine.csv"


def split_rows(*splits: str) -> list[str]:
    """Ten images of five patients for each split."""
    return [
        f"{split}{number}.png,{split}{number // 2},{number % 2},0,{split}" for split in splits for number in range(10)
    ]


SPLIT_HEADER = "image,patient_id,Effusion,Mass,split"


def test_the_official_test_images_are_checked_and_others_calibrate(
    make_nih: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_nih(tmp_path / "nih", patients=16, test_patients=6)
    labeled = read_labeled_set(folder, ["Effusion", "Widget", "Mass"])
    official = set((folder / "test_list.txt").read_text().split())
    assert set(labeled.checked["image_id"]) == official
    assert set(labeled.calibration["image_id"]) == set((folder / "train_val_list.txt").read_text().split())
    assert labeled.selection == "the test images"
    assert labeled.manifest.labels == ("Effusion", "Widget", "Mass")
    assert labeled.checked["Widget"].isna().all()
    assert "findings without labels there, which are n/a: Widget" in labeled.notes


def test_images_of_patients_in_the_test_do_not_calibrate(tmp_path: Path) -> None:
    rows = [*split_rows("train", "test"), "again.png,test0,1,1,train"]
    labeled = read_labeled_set(write_csv(tmp_path, SPLIT_HEADER, rows), LABELS)
    assert set(labeled.calibration["image_id"]) == {f"train{number}.png" for number in range(10)}
    assert set(labeled.checked["image_id"]) == {f"test{number}.png" for number in range(10)}


def test_a_quarter_at_most_of_a_set_without_splits_is_set_aside_by_patient(tmp_path: Path) -> None:
    rows = [f"{number}.png,p{number // 3},{number % 2}" for number in range(60)]
    path = write_csv(tmp_path, "image,patient_id,Effusion", rows)
    labeled = read_labeled_set(path, LABELS)
    assert len(labeled.calibration) == 15  # 60 / 4, five patients of three images
    assert len(labeled.checked) == 45
    assert not {*labeled.calibration["patient_id"]} & {*labeled.checked["patient_id"]}
    assert "set aside" in labeled.selection
    assert set(read_labeled_set(path, LABELS).checked["image_id"]) == set(labeled.checked["image_id"])


def test_a_csv_without_patients_is_read_and_that_is_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "file,Effusion", [f"{number}.png,{number % 2}" for number in range(40)])
    labeled = read_labeled_set(path, LABELS, columns={"image_column": "file"})
    assert labeled.checked["patient_id"].nunique() == len(labeled.checked) == 30
    assert "no column of patients" in labeled.notes[0]


def test_uncertain_labels_are_unknown_and_missing_images_are_counted(tmp_path: Path) -> None:
    rows = split_rows("train", "test")
    rows[12] = "test2.png,test1,-1,0,test"
    path = write_csv(tmp_path, SPLIT_HEADER, rows)
    (tmp_path / "test3.png").unlink()
    labeled = read_labeled_set(path, LABELS)
    assert labeled.checked.set_index("image_id")["Effusion"].isna().to_dict()["test2.png"]
    assert len(labeled.checked) == 9
    assert any("1 of 20 listed images are not on disk" in note for note in labeled.notes)
    assert any("Effusion 1" in note for note in labeled.notes)


def test_a_model_trained_with_another_division_of_the_files_is_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path, SPLIT_HEADER, split_rows("train", "test"))
    files = dict(read_labeled_set(path, LABELS).manifest.files)
    for split, told in (("patient", True), ("official", False)):
        labeled = read_labeled_set(path, LABELS, trained_on={"files": files, "settings": {"split": split}})
        assert any("may have seen checked images" in note for note in labeled.notes) is told


@pytest.mark.parametrize(
    ("splits", "labels", "given", "message"),
    [
        (("train", "val"), LABELS, {}, r"Expected test images in .* but its splits are \['train', 'val'\]"),
        (("test",), LABELS, {}, "at least 8 images .* to calibrate with"),
        (("train", "test"), ("Hernia",), {}, "labels of the model's findings .* but it has none of them"),
        (("train", "test"), LABELS, {"columns": {"split_column": "fold"}}, "column 'fold' .* with --split-column"),
        (("train", "test"), LABELS, {"columns": {"image_column": "x"}}, "column 'x' .* with --image-column"),
        (("train", "test"), LABELS, {"layout": "nih", "columns": {"image_column": "x"}}, "beside --image-column"),
        (("train", "test"), LABELS, {"layout": "nih"}, "folder or a CSV at .* it is a file"),
        (("train", "test"), LABELS, {"layout": "foo"}, "it is a file"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(
    splits: tuple[str, ...], labels: tuple[str, ...], given: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = write_csv(tmp_path, SPLIT_HEADER, split_rows(*splits))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_labeled_set(path, labels, **given)  # type: ignore[arg-type]  # one of several


def test_a_set_without_images_on_disk_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, SPLIT_HEADER, split_rows("train", "test"))
    for image in tmp_path.glob("*.png"):
        image.unlink()
    with pytest.raises(FileNotFoundError, match="on disk but none is there"):
        read_labeled_set(path, LABELS)
