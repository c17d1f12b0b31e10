"""Which files a table's images are, and what is said of other spellings."""

from pathlib import Path

import pandas as pd
import pytest

from cxr_lightning.data.image_finder import find_files, normalized_path, same_file_error


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("img/a.png", "img/a.png"),
        ("./img/./a.png", "img/a.png"),
        ("img//a.png", "img/a.png"),
        ("img\\sub\\a.png", "img/sub/a.png"),
        ("../a.png", "../a.png"),
        ("a/../b.png", "a/../b.png"),
        ("./a..png", "a..png"),
        ("/a.png", "/a.png"),
        ("", ""),
    ],
)
def test_a_path_has_one_form(name: str, normalized: str) -> None:
    assert normalized_path(name) == normalized


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def found(root: Path, *names: str) -> list[str | None]:
    paths = find_files(root, pd.Series(names, dtype=object)).paths
    return [None if path is None else Path(path).relative_to(root).as_posix() for path in paths]


def test_images_are_found_in_other_spellings_where_one_file_fits(tmp_path: Path) -> None:
    make(tmp_path, "img/a.PNG", "img/b.jpg", "img/e.txt", "img/.f.png", "img/1.2.84.7", "img/no..dots.png")
    names = ["img/a.png", "img/b", "img/e", "img/f.png", "img/1.2.84.7.dcm", "img/no..dots.JPG"]
    assert found(tmp_path, *names) == ["img/a.PNG", "img/b.jpg", None, None, "img/1.2.84.7", "img/no..dots.png"]
    remark = find_files(tmp_path, pd.Series(names)).remarks[0]
    assert remark.startswith("4 of 6 images are found in another place or spelling than the table's, in 'img': ")
    assert remark.endswith("'img/a.png' is 'img/a.PNG'")


def test_images_are_found_in_other_folders_only_where_all_of_them_are(tmp_path: Path) -> None:
    make(tmp_path, "copy/img/a.png", "copy/img/b.png", "c.png")
    names = ["data/img/a.png", "img/b.png"]
    assert found(tmp_path, "img/a.png", "img/b.png") == ["copy/img/a.png", "copy/img/b.png"]
    assert found(tmp_path, *names) == [None, "copy/img/b.png"]
    make(tmp_path, "img/b.png")
    assert found(tmp_path, "img/a.png", "img/b.png") == [None, "img/b.png"]
    assert find_files(tmp_path, pd.Series(["img/a.png", "img/b.png"])).nearest == {
        "img/a.png": "the nearest file is 'copy/img/a.png'"
    }
    assert found(tmp_path, "data/c.png") == ["c.png"]


def test_where_there_are_too_many_files_no_other_spelling_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/x.png", "b/x.png", "c/x.png", "c/y.PNG")
    monkeypatch.setattr("cxr_lightning.data.image_finder._MAX_FILES", 3)
    files = find_files(tmp_path, pd.Series(["x.png", "c/y.png", "a/x.png"]))
    assert files.paths.isna().tolist() == [True, True, False]
    assert files.remarks[0].startswith("other spellings of names are not looked for among more than 3 files")


def test_a_link_to_nothing_is_no_other_images_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).symlink_to(tmp_path / "absent")
    table = pd.DataFrame({"image_id": ["a.png", "b.png"], "path": [str(tmp_path / "a.png"), str(tmp_path / "b.png")]})
    assert same_file_error(table, Path("l.csv")) is None


def test_a_file_that_a_row_names_exactly_is_no_other_rows_file(tmp_path: Path) -> None:
    make(tmp_path, "p2/view.png")
    assert found(tmp_path, "p2/view.png", "view.png") == ["p2/view.png", None]


def test_two_rows_of_one_file_are_an_error_whatever_makes_them_one(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "hard.png").hardlink_to(tmp_path / "b.png")
    names = pd.Series(["a.png", "link.png", "b.png", "hard.png", "absent.png"])
    table = pd.DataFrame({"image_id": names, "path": find_files(tmp_path, names).paths})
    error = same_file_error(table, Path("l.csv"))
    assert str(error) == (
        "Expected every image once in 'l.csv' but 2 are files of other images: 'link.png' is the file of 'a.png', "
        "'hard.png' is the file of 'b.png'. Keep one row for each file."
    )
    assert same_file_error(table.iloc[[0, 2, 4]], Path("l.csv")) is None


def test_the_nearest_file_is_told_of_images_that_are_not_there(tmp_path: Path) -> None:
    make(tmp_path, "img/00000001_000.png")
    files = find_files(tmp_path, pd.Series(["img/00000001_00.png", "other"]))
    assert files.paths.isna().all()
    assert files.nearest == {"img/00000001_00.png": "the nearest file is 'img/00000001_000.png'"}
    assert files.remarks == ()
    make(tmp_path, "a/x.png", "b/x.png")
    assert find_files(tmp_path, pd.Series(["x.png"])).nearest == {
        "x.png": "several files fit, such as 'a/x.png' and 'b/x.png': write it with its folder"
    }


def test_two_spellings_of_one_file_are_two_rows_of_it(tmp_path: Path) -> None:
    make(tmp_path, "img/a.png")
    names = pd.Series(["img/a.png", "IMG/A.PNG"])
    table = pd.DataFrame({"image_id": names, "path": find_files(tmp_path, names).paths})
    assert "'IMG/A.PNG' is the file of 'img/a.png'" in str(same_file_error(table, Path("l.csv")))
