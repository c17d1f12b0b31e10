"""NIH's official files, in every edition and folder layout."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.manifest import fingerprint
from cxr_lightning.data.table_problems import TablesError
from cxr_lightning.labels import NIH_LABELS

V2020 = "Data_Entry_2017_v2020.csv"
Rows = Callable[[Path], list[dict[str, str]]]


def edit(path: Path, old: str, new: str, count: int = 1) -> None:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, count))


def test_the_table_is_what_the_csv_module_reads(nih_folder: Path, nih_rows: Rows) -> None:
    manifest = NIHLayout().read(nih_folder)
    rows = nih_rows(nih_folder / V2020)
    table = manifest.table
    assert table["image_id"].tolist() == [row["Image Index"] for row in rows]
    assert table["patient_id"].tolist() == [row["Patient ID"] for row in rows]
    assert table["age"].tolist() == [float(row["Patient Age"]) for row in rows]
    assert table["sex"].tolist() == [row["Patient Gender"] for row in rows]
    assert table["view_position"].tolist() == [row["View Position"] for row in rows]
    expected = [[float(label in row["Finding Labels"].split("|")) for label in NIH_LABELS] for row in rows]
    np.testing.assert_array_equal(manifest.targets(), expected)
    assert manifest.targets().dtype == np.float32
    assert all(
        Path(path) == nih_folder / "images" / name for path, name in zip(table["path"], table["image_id"], strict=True)
    )
    assert (manifest.labels, manifest.source, manifest.synthetic) == (NIH_LABELS, "nih", False)


def test_the_split_is_what_the_lists_say(nih_folder: Path) -> None:
    table = NIHLayout().read(nih_folder).table
    for split, name in (("train_val", "train_val_list.txt"), ("test", "test_list.txt")):
        listed = (nih_folder / name).read_text().split()
        assert table["image_id"][table["split"] == split].tolist() == listed


def test_without_lists_there_is_no_split(nih_folder: Path) -> None:
    (nih_folder / "train_val_list.txt").unlink()
    (nih_folder / "test_list.txt").unlink()
    assert NIHLayout().read(nih_folder).table["split"].isna().all()


def test_labels_may_be_chosen_and_ordered(nih_folder: Path) -> None:
    everything, chosen = NIHLayout().read(nih_folder), NIHLayout().read(nih_folder, ["Mass", "Effusion"])
    assert chosen.labels == ("Mass", "Effusion")
    columns = [NIH_LABELS.index("Mass"), NIH_LABELS.index("Effusion")]
    np.testing.assert_array_equal(chosen.targets(), everything.targets()[:, columns])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["Mass", "Lump"], r"`data\.labels` to be among .* but got \['Lump'\]"),
        ([], "at least one label but got none"),
        (["Mass", "Mass"], "every label once"),
    ],
)
def test_unusable_labels_are_refused(nih_folder: Path, labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NIHLayout().read(nih_folder, labels)


SIZES, SPACING = "OriginalImage[Width,Height]", "OriginalImagePixelSpacing[x,y]"


@pytest.mark.parametrize(
    ("old", "new", "row_end"),
    [
        (f"{SIZES},{SPACING}", f'"{SIZES}","{SPACING}"', ""),
        (f"{SIZES},{SPACING}", "OriginalImage[Width, Height],OriginalImagePixelSpacing[x, y]", ""),
        (SPACING, f"{SPACING},", ","),
        (SPACING, f"{SPACING},", ""),
        ("Image Index", "\ufeffImage Index", ""),
    ],
    ids=["quoted", "spaces", "2017-trailing-comma", "header-only-comma", "byte-order-mark"],
)
def test_every_editions_header_reads_the_same(nih_folder: Path, old: str, new: str, row_end: str) -> None:
    expected = NIHLayout().read(nih_folder)
    header, *rows = (nih_folder / V2020).read_text().splitlines()
    assert len(rows[0].split(",")) == 11
    lines = [header.replace(old, new), *(row + row_end for row in rows)]
    (nih_folder / V2020).write_text("\r\n".join(lines) + "\r\n")
    pd.testing.assert_frame_equal(NIHLayout().read(nih_folder).table, expected.table)


def test_the_2017_edition_with_its_ages_is_read_where_it_is_the_only_one(nih_folder: Path) -> None:
    path = (nih_folder / V2020).rename(nih_folder / "Data_Entry_2017.csv")
    edit(path, ",1,21,F,", ",1,021Y,F,")
    edit(path, ",1,21,F,", ",1,414Y,F,")
    manifest = NIHLayout().read(nih_folder)
    assert manifest.table["age"][0] == 21
    assert np.isnan(manifest.table["age"][1])
    assert next(iter(manifest.files)) == "Data_Entry_2017.csv"


def test_of_two_editions_the_later_is_used_and_said_so(nih_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (nih_folder / "Data_Entry_2017.csv").write_text("never read")
    assert V2020 in NIHLayout().read(nih_folder).files
    assert f"holds both label editions; using {V2020}" in caplog.text


def test_the_label_file_may_be_named(nih_folder: Path) -> None:
    (nih_folder / V2020).rename(nih_folder / "mine.csv")
    assert "mine.csv" in NIHLayout("mine.csv").read(nih_folder).files


@pytest.mark.parametrize("layout", ["images", "images_001/images", ".", "images_001"])
def test_images_are_found_in_every_layout(nih_folder: Path, layout: str) -> None:
    target = nih_folder / layout
    target.mkdir(parents=True, exist_ok=True)
    for image in sorted((nih_folder / "images").iterdir()):
        image.rename(target / image.name)
    paths = NIHLayout().read(nih_folder).table["path"]
    assert all(Path(path).parent.resolve() == target.resolve() for path in paths)


def test_a_missing_image_has_no_path(nih_folder: Path) -> None:
    (nih_folder / "images" / "00000001_000.png").unlink()
    table = NIHLayout().read(nih_folder).table
    assert table["image_id"][table["path"].isna()].tolist() == ["00000001_000.png"]


def test_a_missing_folder_or_label_file_says_what_is_there(nih_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data set's folder at '.*absent' .* Set `data\.root`"):
        NIHLayout().read(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"folder at '.*v2020\.csv'"):
        NIHLayout().read(nih_folder / V2020)
    (nih_folder / V2020).unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"Expected {V2020} or .* holds BBox_List_2017\.csv, images, test_list"
    ):
        NIHLayout().read(nih_folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Effusion",
            "Efusion",
            rf"'.*{V2020}' but 1 cells hold unknown findings: 'Efusion' on line \d+ \(Did you mean 'Effusion'\?\)",
        ),
        (
            "Effusion",
            "No Finding|Effusion",
            r"1 cells hold 'No Finding' beside other findings: 'No Finding\|Effusion.*' on line \d+\.",
        ),
        ("00000001_001.png", "00000001_000.png", r"every image once .* but 1 are listed again: 00000001_000\.png"),
        ("00000001_001.png", "../secret.png", r"without a folder .* first '\.\./secret\.png' on line 3"),
        ("00000001_001.png", "/etc/secret.png", "without a folder"),
        ("00000001_001.png", "images/1.png", "without a folder"),
        ("00000001_001.png", "0000\0.png", r"'0000\\x00\.png' on line 3, which has the control character"),
        ("00000001_001.png", "0" * 256, "on line 3, which has a file or folder name of 256 bytes"),
        ("00000001_001.png", "", "name its image but 1 rows do not, first the one on line 3"),
        ("Patient ID", "Patient", "one column 'Patient ID' in .* but the columns are"),
        ("Finding Labels", "Patient Gender", "Patient Gender' is there 2 times. Download it again, or set"),
        (
            "Finding Labels",
            "Patient ID",
            "columns 'Finding Labels', 'Patient ID', each .* 'Finding Labels' is not .* 'Patient ID' is there 2 times",
        ),
        ("00000001_001.png,", "00000001_001.png,x,", "11 fields on every line .* first line 3 with 12"),
    ],
)
def test_a_malformed_label_file_is_refused(nih_folder: Path, old: str, new: str, message: str) -> None:
    edit(nih_folder / V2020, old, new)
    with pytest.raises(ValueError, match=message):
        NIHLayout().read(nih_folder)


def test_the_unknown_findings_line_is_its_line_in_the_file(nih_folder: Path) -> None:
    lines = (nih_folder / V2020).read_text().splitlines()
    fields = lines[7].split(",")
    lines[7] = ",".join([fields[0], "Efusion", *fields[2:]])
    lines.insert(3, "")  # a blank line counts
    (nih_folder / V2020).write_text("\n".join(lines))
    with pytest.raises(ValueError, match="'Efusion' on line 9"):
        NIHLayout().read(nih_folder)


def test_split_lists_that_share_an_image_are_refused(nih_folder: Path) -> None:
    with (nih_folder / "test_list.txt").open("a") as file:
        file.write("00000001_000.png\n")
    with pytest.raises(ValueError, match=r"share no image but they share 1, first 00000001_000\.png"):
        NIHLayout().read(nih_folder)


def test_boxes_are_fractions_of_the_image_with_the_label_files_spelling(nih_folder: Path, nih_rows: Rows) -> None:
    boxes = NIHLayout().read(nih_folder).boxes
    listed = nih_rows(nih_folder / "BBox_List_2017.csv")
    assert len(listed) > 0
    assert boxes["image_id"].tolist() == [row["Image Index"] for row in listed]
    assert set(boxes["label"]) == {"Infiltration"}  # the file says Infiltrate
    # 256, 512, 128 and 64 of 1024 pixels
    np.testing.assert_array_equal(boxes[["x", "y", "width", "height"]], [[0.25, 0.5, 0.125, 0.0625]] * len(boxes))


def test_without_a_box_list_there_are_no_boxes(nih_folder: Path) -> None:
    (nih_folder / "BBox_List_2017.csv").unlink()
    boxes = NIHLayout().read(nih_folder).boxes
    assert boxes.columns.tolist() == ["image_id", "label", "x", "y", "width", "height"]
    assert boxes.empty


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("256.0", "left", r"four numbers for every box in '.*BBox_List_2017\.csv' but 1 rows .* line 2"),
        ("256.0", "nan", "four numbers for every box"),
        (
            "256.0,512.0",
            "-1.0,512.0",
            r"within 1024 x 1024 pixels in '.*BBox_List_2017\.csv' but 1 are not, first line 2",
        ),
        ("128.0,64.0", "0.0,64.0", "within 1024 x 1024 pixels"),
        ("128.0,64.0", "128.0,513.0", "within 1024 x 1024 pixels"),
        (
            "Infiltrate",
            "Shadow",
            r"finding names in '.*BBox_List_2017\.csv' but 1 rows hold others: 'Shadow' on line 2",
        ),
        ("Bbox [x", "Box [x", r"one column 'Bbox \[x'"),
        ("Finding Label", "Label", r"Finding Label' .*\. Download it again\.$"),
    ],
)
def test_a_malformed_box_list_is_refused(nih_folder: Path, old: str, new: str, message: str) -> None:
    edit(nih_folder / "BBox_List_2017.csv", old, new)
    with pytest.raises(ValueError, match=message):
        NIHLayout().read(nih_folder)


@pytest.mark.parametrize(("target", "found"), [("images", "it is a folder"), ("gone.csv", "it is a link to a file")])
def test_a_box_list_that_is_no_file_is_told_beside_other_problems(nih_folder: Path, target: str, found: str) -> None:
    (nih_folder / "BBox_List_2017.csv").unlink()
    (nih_folder / "BBox_List_2017.csv").symlink_to(nih_folder / target)
    edit(nih_folder / V2020, "Effusion", "Efusion")
    with pytest.raises(TablesError, match=rf"'Efusion'.* box list at '.*BBox_List_2017\.csv' but {found}.*Download"):
        NIHLayout().read(nih_folder)


def test_lists_and_label_files_that_are_links_to_nothing_are_told(nih_folder: Path) -> None:
    for name in ("train_val_list.txt", "test_list.txt"):
        (nih_folder / name).unlink()
        (nih_folder / name).symlink_to("unmounted")
    notes = NIHLayout().read(nih_folder).split_notes
    assert [note.rpartition("/")[2] for note in notes] == [
        "train_val_list.txt' cannot be used: it is a link to a file that is not there",
        "test_list.txt' cannot be used: it is a link to a file that is not there",
    ]
    (nih_folder / V2020).unlink()
    (nih_folder / V2020).symlink_to("unmounted")
    with pytest.raises(FileNotFoundError, match=rf"label file at '.*{V2020}' but it is a link"):
        NIHLayout().read(nih_folder)


def test_a_marked_folder_is_synthetic(nih_folder: Path) -> None:
    (nih_folder / "phantom.json").write_text("{}")
    manifest = NIHLayout().read(nih_folder)
    assert manifest.synthetic
    assert fingerprint(manifest)["synthetic"] is True


def test_the_fingerprint_names_every_file_that_was_read(nih_folder: Path) -> None:
    files = NIHLayout().read(nih_folder).files
    assert set(files) == {V2020, "train_val_list.txt", "test_list.txt", "BBox_List_2017.csv"}
    before = files[V2020]
    edit(nih_folder / V2020, "2500", "2501")
    assert NIHLayout().read(nih_folder).files[V2020] != before


def with_folders(root: Path) -> None:
    for name in ("train_val_list.txt", "test_list.txt"):
        edit(root / name, "0000", "images_001/images/0000", count=-1)


def without_endings(root: Path) -> None:
    for name in ("train_val_list.txt", "test_list.txt"):
        edit(root / name, ".png", "", count=-1)


def named_as_on_kaggle(root: Path) -> None:
    for name in ("train_val_list", "test_list"):
        (root / f"{name}.txt").rename(root / f"{name}_NIH.txt")


def compressed(root: Path) -> None:
    for name in (V2020, "train_val_list.txt", "test_list.txt", "BBox_List_2017.csv"):
        (root / f"{name}.gz").write_bytes(gzip.compress((root / name).read_bytes()))
        (root / name).unlink()


def with_semicolons(root: Path) -> None:
    rows = list(csv.reader((root / V2020).read_text().splitlines()))
    (root / V2020).write_text("".join(";".join(row) + "\n" for row in rows))


def as_written_by_another_program(root: Path) -> None:
    edit(root / V2020, "Patient Gender", "Patient Sex")
    edit(root / V2020, "Image Index,Finding Labels", "image_index,Finding labels")
    edit(root / V2020, "Effusion", "effusion", count=-1)
    edit(root / V2020, "\n", ",\n", count=-1)


def in_nested_folders(root: Path) -> None:
    (root / "images").rename(root / "224")
    (root / "images-224").mkdir()
    (root / "224").rename(root / "images-224/images-224")


@pytest.mark.parametrize(
    "spell",
    [
        *(with_folders, without_endings, named_as_on_kaggle, compressed, with_semicolons),
        *(as_written_by_another_program, in_nested_folders),
    ],
)
def test_re_packed_and_re_written_files_read_the_same(nih_folder: Path, spell: Callable[[Path], None]) -> None:
    expected = NIHLayout().read(nih_folder)
    spell(nih_folder)
    found = NIHLayout().read(nih_folder)
    pd.testing.assert_frame_equal(found.table.drop(columns="path"), expected.table.drop(columns="path"))
    names = [[Path(path).name for path in manifest.table["path"]] for manifest in (found, expected)]
    assert names[0] == names[1]
    pd.testing.assert_frame_equal(found.boxes, expected.boxes)
    assert found.split_notes == ()
    assert any("images-224/images-224" in remark for remark in found.remarks) == (spell is in_nested_folders)


def test_columns_that_describe_patients_are_optional(nih_folder: Path) -> None:
    edit(nih_folder / V2020, "Patient Age", "Age at study")
    edit(nih_folder / V2020, "Patient Gender", "G")
    edit(nih_folder / V2020, "View Position", "V")
    manifest = NIHLayout().read(nih_folder)
    assert manifest.table[["age", "sex", "view_position"]].isna().all(axis=None)
    assert (manifest.targets() == 1).any()


def test_an_image_in_both_lists_is_told_in_whatever_spellings(nih_folder: Path) -> None:
    name = (nih_folder / "train_val_list.txt").read_text().split()[0]
    with (nih_folder / "test_list.txt").open("a") as file:
        file.write(f"\nimages_001\\images\\{name.upper()}\n")
    with pytest.raises(TablesError, match=f"to share no image but they share 1, first {name}"):
        NIHLayout().read(nih_folder)


def test_a_link_to_nothing_among_the_images_is_left_for_the_check_of_the_images(nih_folder: Path) -> None:
    image = next((nih_folder / "images").iterdir())
    image.unlink()
    image.symlink_to(nih_folder / "absent")
    table = NIHLayout().read(nih_folder).table
    assert table["path"][table["image_id"] == image.name].item() == str(image)
