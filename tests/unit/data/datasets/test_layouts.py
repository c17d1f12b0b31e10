"""The walk-through's one-hot files and any CSV with label columns."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr_lightning.data.data_errors import PatientOverlapError
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.data.datasets.walkthrough import WalkthroughLayout
from cxr_lightning.data.splits import assign_splits, stated_splits
from cxr_lightning.data.table_problems import TablesError
from cxr_lightning.labels import WALKTHROUGH_LABELS
from cxr_lightning.utils.limited_process import Limits
from tests.conftest import select_rows

FILES = {"train": "train-small.csv", "val": "valid-small.csv", "test": "test.csv"}


@pytest.fixture
def walkthrough(tmp_path: Path) -> Path:
    """Two images per file; image k has finding k; every file has its own column order."""
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(0)
    for number, name in enumerate(FILES.values()):
        rows = []
        for image in (2 * number, 2 * number + 1):
            (tmp_path / "images" / f"{image}.png").touch()
            one_hot = {label: int(position == image) for position, label in enumerate(WALKTHROUGH_LABELS)}
            rows.append({"Image": f"{image}.png", "PatientId": str(100 + image), **one_hot})
        table = pd.DataFrame(rows)
        table[generator.permutation(table.columns)].to_csv(tmp_path / name, index=False)
    return tmp_path


def test_the_walkthroughs_files_read_by_name_whatever_their_column_order(walkthrough: Path) -> None:
    headers = {(walkthrough / name).read_text().splitlines()[0] for name in FILES.values()}
    assert len(headers) == 3
    manifest = WalkthroughLayout().read(walkthrough)
    assert manifest.labels == WALKTHROUGH_LABELS
    np.testing.assert_array_equal(manifest.targets(), np.eye(14)[:6])
    assert manifest.table["split"].tolist() == ["train", "train", "val", "val", "test", "test"]
    assert manifest.table["patient_id"].tolist() == [str(number) for number in range(100, 106)]
    assert manifest.table["path"].tolist() == [str(walkthrough / "images" / f"{number}.png") for number in range(6)]
    assert set(manifest.files) == set(FILES.values())
    assert manifest.boxes.empty


def test_the_walkthroughs_labels_may_be_chosen(walkthrough: Path) -> None:
    manifest = WalkthroughLayout().read(walkthrough, ["Hernia", "Effusion"])
    np.testing.assert_array_equal(manifest.targets().argmax(axis=0), [3, 2])
    with pytest.raises(ValueError, match="at least one label"):
        WalkthroughLayout().read(walkthrough, [])


def test_the_walkthroughs_errors_name_the_file(walkthrough: Path, tmp_path: Path) -> None:
    path = walkthrough / "valid-small.csv"
    good = path.read_text()
    path.write_text(good.replace("102", ""))
    with pytest.raises(ValueError, match=r"valid-small\.csv' to name its patient but 1 rows do not.* line 2"):
        WalkthroughLayout().read(walkthrough)
    path.write_text(good.replace("2.png", "../2.png"))
    with pytest.raises(ValueError, match=r"without a folder as images in '.*valid-small\.csv'"):
        WalkthroughLayout().read(walkthrough)
    path.write_text(good.replace("2.png", "2\x1b.png"))
    with pytest.raises(ValueError, match=r"files can have as images in '.*valid-small\.csv' but 1 are none, first '2"):
        WalkthroughLayout().read(walkthrough)
    path.write_text(good.splitlines()[0])
    with pytest.raises(ValueError, match=r"images in '.*valid-small\.csv' but it lists none"):
        WalkthroughLayout().read(walkthrough)
    path.write_text(good.replace("2.png", "3.png"))
    with pytest.raises(ValueError, match=r"every image once in '.*valid-small\.csv' but 1 are listed again: 3\.png"):
        WalkthroughLayout().read(walkthrough)
    path.write_text(good.replace("2.png", "5.png"))
    with pytest.raises(ValueError, match=r"the same labels and patient in all files .* but 1 differ: 5\.png"):
        WalkthroughLayout().read(walkthrough)
    path.unlink()
    with pytest.raises(TablesError, match=r"label file at '.*valid-small\.csv'.* The folder holds images, test"):
        WalkthroughLayout().read(walkthrough)
    with pytest.raises(FileNotFoundError, match="data set's folder"):
        WalkthroughLayout().read(walkthrough / "absent")


def test_the_problems_of_all_the_walkthroughs_files_are_told_and_the_rest_is_kept(walkthrough: Path) -> None:
    (walkthrough / "test.csv").write_text((walkthrough / "test.csv").read_text().replace("Image", "Picture"))
    lines = (walkthrough / "train-small.csv").read_text().replace("PatientId", "PID").replace("Mass", "Lump")
    (walkthrough / "train-small.csv").write_text(lines)
    with pytest.raises(TablesError) as caught:
        WalkthroughLayout(val_file="images").read(walkthrough)
    message = str(caught.value)
    assert "3 things are wrong" in message
    assert "columns 'PatientId', 'Mass', each once, in" in message
    assert "images' but that is a folder. Set `data.source.val_file`" in message
    assert "one column 'Image' in" in message
    assert caught.value.manifest.table["image_id"].tolist() == ["0.png", "1.png"]
    assert caught.value.unknown == {"patient_id", "labels", "image_id", "split"}


def test_a_column_of_the_walkthroughs_is_its_files_or_the_users(walkthrough: Path) -> None:
    path = walkthrough / "train-small.csv"
    path.write_text(path.read_text().replace("Mass", "Lump"))
    file = "`data.source.train_file`"
    with pytest.raises(ValueError, match=rf"Download it again, or set {file} to the name of the right file\."):
        WalkthroughLayout().read(walkthrough)
    with pytest.raises(ValueError, match=r"'Mass' .*train-small\.csv'.* Correct the header, or `data\.labels`\."):
        WalkthroughLayout().read(walkthrough, ["Mass", "Edema"])


def test_an_image_in_two_of_the_walkthroughs_files_is_a_leak_not_a_malformed_table(walkthrough: Path) -> None:
    shutil.copy(walkthrough / "train-small.csv", walkthrough / "valid-small.csv")
    manifest = WalkthroughLayout().read(walkthrough)
    assert manifest.table["image_id"].tolist() == ["0.png", "1.png"] * 2 + ["4.png", "5.png"]
    with pytest.raises(PatientOverlapError, match="2 patients have images in more than one split: 100, 101"):
        select_rows(manifest, required=["test"])
    table = assign_splits(manifest, "patient", val_fraction=0.25, test_fraction=0.25).table
    assert table["image_id"].is_unique


@pytest.fixture
def csv_folder(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.png").touch()
    (tmp_path / "labels.csv").write_text(
        "image,patient_id,Mass,Edema,fold,view,gender,years\n"
        "scans/a.png,p1,1,0,train,pa,f,061Y\n"
        "scans/b.png,p2,,1.0,valid,,,\n"
        "c.png,p3,0,,test,AP,M,7\n"
    )
    return tmp_path


def test_a_csv_reads_one_zero_and_empty_as_unknown(csv_folder: Path) -> None:
    manifest = CsvLayout().read(csv_folder, ["Edema", "Mass"])
    np.testing.assert_array_equal(manifest.targets(), [[0, 1], [1, np.nan], [np.nan, 0]])
    assert manifest.labels == ("Edema", "Mass")
    assert manifest.table["path"][0] == str(csv_folder / "scans" / "a.png")
    assert manifest.table["path"].isna().tolist() == [False, True, True]
    assert manifest.table[["split", "view_position", "sex", "age"]].isna().all(axis=None)


def test_a_csvs_own_columns_can_be_named(csv_folder: Path) -> None:
    source = CsvLayout(split_column="fold", view_column="view", sex_column="gender", age_column="years")
    table = source.read(csv_folder, ["Mass"]).table.astype(object).replace({np.nan: None})
    columns = ["split", "view_position", "sex", "age"]
    assert table[columns].to_numpy().tolist() == [
        ["train", "PA", "F", 61.0],
        ["valid", None, None, None],  # made `val` when splits are assigned
        ["test", "AP", "M", 7.0],
    ]


def test_the_image_column_is_no_patient_column_but_a_pattern_can_make_each_image_its_own_patient(
    csv_folder: Path,
) -> None:
    with pytest.raises(ValueError, match=r"a column of patients .* but got 'image', the column of the images"):
        CsvLayout(patient_column="image")
    with pytest.raises(ValueError, match=r"`data\.source\.patient_column` or `data\.source\.patient_pattern` but got"):
        CsvLayout(patient_column=None)
    table = CsvLayout(patient_column=None, patient_pattern="(.+)").read(csv_folder, ["Mass"]).table
    assert table["patient_id"].tolist() == table["image_id"].tolist()


@pytest.mark.parametrize("wrong", ["-2", "yes"])
def test_another_value_in_a_label_column_is_refused_with_its_line(csv_folder: Path, wrong: str) -> None:
    path = csv_folder / "labels.csv"
    path.write_text(path.read_text().replace("p2,,1.0", f"p2,{wrong},1.0"))
    with pytest.raises(ValueError, match=rf"column 'Mass' of '.*labels\.csv' .* something else: '{wrong}' on line 3"):
        CsvLayout().read(csv_folder, ["Mass"])


def test_names_that_no_file_can_have_are_told_beside_other_problems(csv_folder: Path) -> None:
    path = csv_folder / "labels.csv"
    rows = [f"{name},p,1,0,,,," for name in ("a\0b.png", "é" * 200 + ".png", "d/" * 2100 + "e.png")]
    path.write_text("\n".join([path.read_text().replace("p3,0", "p3,no").strip(), *rows]))
    with pytest.raises(TablesError) as caught:
        CsvLayout().read(csv_folder, ["Mass"])
    assert "2 things are wrong. (1) Expected 0, 1 or nothing" in str(caught.value)
    assert r"but 3 are none, first 'a\x00b.png' on line 5, which has the control" in str(caught.value)
    assert caught.value.manifest.table["image_id"].tolist() == ["scans/a.png", "scans/b.png", "c.png"]
    with pytest.raises(ValueError, match="but 3 are none, first"):
        CsvLayout().listed_images(csv_folder)


@pytest.mark.parametrize("name", ["../b.png", "/etc/b.png"])
def test_an_image_outside_the_folder_is_refused(csv_folder: Path, name: str) -> None:
    path = csv_folder / "labels.csv"
    path.write_text(path.read_text().replace("scans/b.png", name))
    with pytest.raises(ValueError, match=r"paths below the data folder as images in '.*labels\.csv'"):
        CsvLayout().read(csv_folder, ["Mass"])


def test_a_csvs_labels_must_be_named(csv_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"`data\.labels` to name the label columns of .*'Mass', 'Edema'"):
        CsvLayout().read(csv_folder)
    with pytest.raises(ValueError, match="one column 'Lump'"):
        CsvLayout().read(csv_folder, ["Lump"])
    with pytest.raises(ValueError, match="at least one label"):
        CsvLayout().read(csv_folder, [])


def test_a_label_must_not_have_the_name_of_another_column(csv_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"names that the table does not use itself but got \['split'\]"):
        CsvLayout().read(csv_folder, ["split"])


def test_a_missing_csv_is_reported_with_what_is_there(csv_folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"label file at '.*absent\.csv' .* The folder holds labels\.csv"):
        CsvLayout("absent.csv").read(csv_folder, ["Mass"])
    with pytest.raises(FileNotFoundError, match="data set's folder"):
        CsvLayout().read(csv_folder / "absent", ["Mass"])


def test_the_synthetic_sets_folder_is_its_own_below_the_root(tmp_path: Path) -> None:
    small, large = PhantomLayout(train_images=100), PhantomLayout(train_images=200)
    assert small.folder(tmp_path).parent == tmp_path
    assert small.folder(tmp_path) != large.folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="data set's folder"):
        small.read(tmp_path)  # reading makes nothing; `prepare` does


def test_synthetic_images_are_known_by_their_folder_whatever_the_layout(tmp_path: Path) -> None:
    (tmp_path / "made" / "images").mkdir(parents=True)
    (tmp_path / "made" / "images" / "a.png").touch()
    (tmp_path / "labels.csv").write_text("image,patient_id,Mass\nmade/images/a.png,1,1\n")
    assert not CsvLayout().read(tmp_path, ["Mass"]).synthetic
    (tmp_path / "made" / "phantom.json").touch()
    assert CsvLayout().read(tmp_path, ["Mass"]).synthetic


def test_a_link_out_of_the_data_folder_is_refused_unless_meant(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    (root / "inside").mkdir(parents=True)
    outside.mkdir()
    for file in (root / "inside/a.png", root / "inside/b.png", outside / "a.png"):
        Image.new("L", (8, 8)).save(file)
    (root / "link").symlink_to(outside)
    (root / "kept").symlink_to(root / "inside")
    table = "image,patient_id,Mass\nkept/a.png,1,0\nlink/a.png,2,1\n"
    (root / "labels.csv").write_text(table)
    with pytest.raises(
        ValueError, match=r"but 1 are links to elsewhere, first 'link/a\.png' on line 3 of '.*labels\.csv'\. Set"
    ):
        CsvLayout().read(root, ["Mass"])
    assert CsvLayout(follow_links=True).read(root, ["Mass"]).table["path"].notna().all()
    (root / "labels.csv").write_text(table.replace("link/a", "inside/b"))
    assert CsvLayout().read(root, ["Mass"]).table["path"].notna().all()


CHEXPERT = "image,Edema\n" + "".join(
    f"CheXpert/train/patient{patient:05d}/study{study}/view1.jpg,{study % 2}\n"
    for patient in (1, 2)
    for study in (1, 2)
)


@pytest.fixture
def chexpert(tmp_path: Path) -> Path:
    """Two patients of two studies each, whose images have one name."""
    (tmp_path / "labels.csv").write_text(CHEXPERT)
    for line in CHEXPERT.splitlines()[1:]:
        path = tmp_path / line.partition(",")[0]
        path.parent.mkdir(parents=True)
        Image.new("L", (8, 8)).save(path)
    return tmp_path


def test_the_patient_may_be_in_the_path(chexpert: Path) -> None:
    layout = CsvLayout(patient_column=None, patient_pattern=r"patient(\d+)")
    manifest = layout.read(chexpert, ["Edema"])
    assert manifest.table["patient_id"].tolist() == ["1", "1", "2", "2"]
    assert manifest.remarks == ()
    inside = layout.read(chexpert / "CheXpert/..", ["Edema"])
    assert inside.table["patient_id"].tolist() == ["1", "1", "2", "2"]


def test_images_of_one_name_are_found_where_the_root_is_within_their_folders(chexpert: Path) -> None:
    (chexpert / "labels.csv").rename(chexpert / "CheXpert/labels.csv")
    manifest = CsvLayout(patient_pattern=r"patient(\d+)").read(chexpert / "CheXpert", ["Edema"])
    assert manifest.table["path"].str.contains("patient00002/study1").tolist() == [False, False, True, False]
    assert manifest.table["path"].notna().all()
    assert "4 of 4 images are found in another place" in manifest.remarks[0]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("patient", r"with one group, the patient's, as `data\.source\.patient_pattern` but 'patient' has 0"),
        ("(pat)(ient)", "has 2"),
        ("(", r"a regular expression as .* but '\(' is none"),
        ("(" + "a" * 600 + ")", "at most 500 characters"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CsvLayout(patient_pattern=pattern)


def test_paths_without_a_patient_are_told_with_their_line(chexpert: Path) -> None:
    with pytest.raises(ValueError, match=r"finds none in 2, first 'CheXpert/train/patient00002/study1.*' on line 4"):
        CsvLayout(patient_pattern=r"patient0000(1)").read(chexpert, ["Edema"])
    with pytest.raises(ValueError, match=r"finds none in 4"):
        CsvLayout(patient_pattern=r"patient(x*)").read(chexpert, ["Edema"])


def test_a_pattern_that_takes_forever_is_ended(chexpert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.data.path_patients._find.limits", Limits(memory=1 << 30, seconds=1))
    (chexpert / "labels.csv").write_text(f"image,Edema\n{'a' * 60}b.png,1\n")
    with pytest.raises(ValueError, match=r"to 1 paths but it takes more than 1 s\. Simplify the expression"):
        CsvLayout(patient_pattern=r"^((?:a|a)+)$").read(chexpert, ["Edema"])


def test_patients_of_one_image_each_in_folders_like_patients_are_remarked_upon(chexpert: Path) -> None:
    layout = CsvLayout(patient_pattern="(.+)")
    (remark,) = layout.read(chexpert, ["Edema"]).remarks
    assert remark.startswith(
        "every patient has one image, but 2 folders such as 'patient00001' look like patients and hold"
    )
    (chexpert / "labels.csv").write_text("\n".join(CHEXPERT.splitlines()[::2]).replace("patient00001", "images") + "\n")
    assert layout.read(chexpert, ["Edema"]).remarks == ()


def test_one_file_under_two_names_is_refused(csv_folder: Path) -> None:
    path = csv_folder / "labels.csv"
    text = path.read_text()
    path.write_text(text + "./scans//a.png,p1,1,0,,,,\n")
    with pytest.raises(
        ValueError, match=r"every image once in .* but 1 are listed again: scans/a\.png, first on line 5"
    ):
        CsvLayout().read(csv_folder, ["Mass"])
    (csv_folder / "link.png").symlink_to(csv_folder / "scans/a.png")
    path.write_text(text + "link.png,p9,1,0,,,,\n")
    with pytest.raises(ValueError, match=r"'link\.png' is the file of 'scans/a\.png'"):
        CsvLayout().read(csv_folder, ["Mass"])


def test_compressed_tables_are_found_without_settings(csv_folder: Path, walkthrough: Path) -> None:
    for path in [csv_folder / "labels.csv", *(walkthrough / name for name in FILES.values())]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert len(CsvLayout().read(csv_folder, ["Mass"]).table) == 3
    manifest = WalkthroughLayout().read(walkthrough)
    assert len(manifest.table) == 6
    assert list(manifest.files) == [f"{name}.gz" for name in FILES.values()]


def test_a_split_that_is_none_is_quoted_with_its_line(csv_folder: Path) -> None:
    path = csv_folder / "labels.csv"
    path.write_text(path.read_text().replace(",valid,", ",Validate,").replace(",test,", ",traim,"))
    manifest = CsvLayout(split_column="fold").read(csv_folder, ["Mass"])
    assert stated_splits(manifest.table["split"]).fillna("none").tolist() == ["train", "val", "none"]
    assert "holds 'traim' on line 4 (Did you mean 'train'?)" in manifest.split_notes[0]
