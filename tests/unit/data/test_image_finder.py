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
    make(tmp_path, "img/a.PNG", "img/b.jpg", "img/c.png", "deep/img/d.png", "img/e.txt", "img/.f.png", "img/1.2.84.7")
    names = ["img/a.png", "img/b", "x/img/c.png", "img/d.png", "img/e", "f.png", "1.2.84.7"]
    assert found(tmp_path, *names) == [
        *("img/a.PNG", "img/b.jpg", "img/c.png", "deep/img/d.png", None, None, "img/1.2.84.7")
    ]
    remark = find_files(tmp_path, pd.Series(names)).remarks[0]
    assert remark.startswith(
        "5 of 7 images are found in another place or spelling than the table's, in 'deep/img', 'img': "
    )
    assert remark.endswith("'img/a.png' is 'img/a.PNG'")


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
    assert files.nearest == {"img/00000001_00.png": "img/00000001_000.png"}
    assert files.remarks == ()
