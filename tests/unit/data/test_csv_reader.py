"""Label files are read strictly: what the csv module reads, or an error that names file and line."""

import csv
import gzip
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from cxr_lightning.data.csv_reader import read_header, read_image_list, read_table
from cxr_lightning.data.datasets.base import index_images
from cxr_lightning.data.manifest import check_table, names_sha256, preview
from cxr_lightning.data.metadata_cells import parse_age
from cxr_lightning.data.table_cells import check_image_names, parse_targets
from cxr_lightning.data.table_problems import TableProblems

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7861\n"


def write(folder: Path, content: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\n1,2,3\n4,5,6\n",
        "a,b,c\r\n1,2,3\r\n4,5,6\r\n",
        "\ufeffa,b,c\n1,2,3\n4,5,6",
        "a,b,c\n1,2,3\n\n4,5,6\n\n",
        'a,"b",c\n"1","2",3\n4,5,"6"\n',
        " a , b,c \n1, 2 ,3\n4,5,6\n",
        "a,b,c,\n1,2,3,\n4,5,6,\n",
        "a,b,c\n1,2,3,,\n4,5,6,\n",
        "a,b,c,\n1,2,3\n4,5,6\n",
        "c,a,b\n3,1,2\n6,4,5\n",
        "a;b;c\n1;2;3\n4;5;6\n",
        '"a"\t"b"\t"c"\n1\t2\t3\n4\t"5"\t6\n',
        "a|b|c\n1|2|3\n4|5|6\n",
        "x,y;a;c\n1,5;1;3\n4,5;4;6\n",
        "sep=;\na;b;c\n1;2;3\n4;5;6\n",
        '"sep=\t"\r\na\tb\tc\r\n1\t2\t3\r\n4\t5\t6\r\n',
        "SEP=^\na^b^c\n1^2^3\n4^5^6\n",
        "a,b,c\r1,2,3\r4,5,6\r",
        'a,b,c\n1,"2\n2\n2",3\n4,5,6\n',
        "a\tb\tc\r\n1\t2\t3\r\n4\t5\t6\r\n".encode("utf-16"),
        "a,b,c\n1,2,3\n4,5,6\n".encode("utf-16-le"),
        "a,b,c\n1,2,3\n4,5,6\n".encode("utf-16-be"),
        "a,b,c\n1,2,3\n4,5,6\n".encode("utf-32"),
        gzip.compress(b"a,b,c\n1,2,3\n4,5,6\n", mtime=0),
        gzip.compress(b"sep=;\na;b;c\n1;2;3\n4;5;6\n", mtime=0),
    ],
    ids=[*"abcdefghijklmnopqrstuvwxy"],
)
def test_every_spelling_of_one_table_reads_the_same(tmp_path: Path, content: str | bytes) -> None:
    table = read_table(write(tmp_path, content), ["c", "a"])
    assert table.to_dict("records") == [{"c": "3", "a": "1"}, {"c": "6", "a": "4"}]


def test_a_table_reads_as_the_csv_module_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path, 'image,note,size\na.png,"one, two",7\nb.png,"say ""no""",08\nc.png,,1e3\n')
    with path.open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert read_table(path, ["image", "note", "size"]).to_dict("records") == expected


def test_the_index_is_the_line_of_the_file_less_two(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a\nx\n\ny\n"), ["a"])
    assert [index + 2 for index in table.index] == [2, 4]
    table = read_table(write(tmp_path, 'sep=;\na;b\nx;"1\n\n2"\ny;3\n'), ["a"])
    assert [index + 2 for index in table.index] == [3, 6]
    with pytest.raises(ValueError, match="but 1 differ, first line 5 with 3"):
        read_table(write(tmp_path, 'a,b\nx,"1\n2\n"\ny,3,4\n'), ["a"])


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"a,b\n" + b"1,2\n" * 5000)[:40],
        b"\x1f\x8b\x00\x00",
        gzip.compress(b"a,b\n1,2\n")[:-4] + b"\0\0\0\0",
    ],
    ids=["cut", "none", "length"],
)
def test_a_compressed_table_that_cannot_be_decompressed_says_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"table or list in '.*labels\.csv\.gz' but it cannot be decompressed"):
        read_table(write(tmp_path, content, "labels.csv.gz"), ["a"])


def test_a_compressed_table_has_the_bounds_of_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.data.csv_rows.MAX_TABLE_BYTES", 10_000)
    path = write(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 50_000), "labels.csv.gz")
    with pytest.raises(ValueError, match=r"table in '.*labels\.csv\.gz' but it has more than 10,000 characters"):
        read_table(path, ["a"])


def test_optional_columns_may_be_absent_but_not_there_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b,b\n1,2,3\n")
    assert list(read_table(path, ["a", "x"], optional=["x"]).columns) == ["a"]
    with pytest.raises(ValueError, match=r"one column 'b' in .* but 'b' is there 2 times"):
        read_table(path, ["a", "b"], optional=["b"])


def test_a_downloads_columns_may_be_spelled_in_another_way_if_one_fits(tmp_path: Path) -> None:
    path = write(tmp_path, "image_index,Patient id,x,X\n1,2,3,4\n")
    table = read_table(path, ["Image Index", "Patient ID", "X"], is_download=True)
    assert table.to_dict("records") == [{"Image Index": "1", "Patient ID": "2", "X": "4"}]
    with pytest.raises(ValueError, match="one column 'Image Index'"):
        read_table(path, ["Image Index"])
    with pytest.raises(ValueError, match="one column 'y'"):
        read_table(write(tmp_path, "Y,Y\n1,2\n"), ["y"], is_download=True)


def test_a_column_may_be_requested_twice(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,b\n1,2\n"), ["a", "a"])
    assert table["a"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,c\n1,2\n", r"one column 'b' in '.*labels\.csv' but the columns are \['a', 'c'\]"),
        ("a,b,b\n1,2,3\n", "one column 'b' in .* but 'b' is there 2 times"),
        ("c;x,y;b\n1;2;3\n", r"one column 'a' in '.*labels\.csv' but the columns are \['c', 'x,y', 'b'\]"),
        ("sep=;\na,b\n", r"the columns are \['a,b'\]"),
        ("a,b\n1,2\n1,2,3\n", r"2 fields on every line of '.*labels\.csv'.* but 1 differ, first line 3 with 3"),
        ("a,b\n1,2\n\n1\n7\n", "2 fields on every line of .* but 2 differ, first line 4 with 1"),
        (b"a,b\n1,\xff\n", r"text in UTF-8, with commas, semicolons or tabs between cells, in '.*labels\.csv'"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], r"text in UTF-8, .* truncated data"),
        ('a,b\n1,"2\n', r"text in UTF-8, .* begins on line 2, a quotation mark is not closed"),
        (POINTER, r"table or list in '.*labels\.csv' but it is a Git-LFS pointer. Run `git lfs pull`"),
        ("", r"text from the first line of '.*labels\.csv' on but that is empty"),
        ("\n\n", "text from the first line of .* on but that is empty"),
    ],
    ids=[
        "missing",
        "duplicated",
        "decimals",
        "sep",
        "too-many",
        "too-few",
        "latin",
        "utf-16",
        "open-quote",
        "pointer",
        "empty",
        "blank",
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, content), ["a", "b"])


@pytest.mark.parametrize(
    ("columns", "settings", "is_download", "advice"),
    [
        (["x"], {}, False, "Correct the header."),
        (["x"], {"x": "s.x", "": "s.file"}, False, "Correct the header, or `s.x`."),
        (["x"], {}, True, "Download it again."),
        (["x", "y"], {"": "s.file"}, True, "Download it again, or set `s.file` to the name of the right file."),
        (
            ["x", "y"],
            {"y": "s.y", "": "s.f"},
            True,
            "again, or set `s.f` to the name of the right file, or correct `s.y`.",
        ),
        (["x"], {"x": "s.x", "": "s.file"}, True, "Correct the header, or `s.x`."),
        (
            ["a", "b"],
            {"a": "s.a", "": "s.file"},
            True,
            "Download it again, or set `s.file` to the name of the right file.",
        ),
    ],
)
def test_the_header_of_a_download_is_not_to_be_corrected(
    columns: list[str], settings: dict[str, str], is_download: bool, advice: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "a,b,b\n1,2,3\n")
    with pytest.raises(ValueError, match=rf"{re.escape(advice)}$"):
        read_table(path, columns, settings=settings, is_download=is_download)


def test_a_missing_table_is_reported_with_what_is_there(tmp_path: Path) -> None:
    for name in "fedcba":
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=r"label file at '.*labels\.csv' .* The folder holds a, b, c, d, e:"):
        read_table(tmp_path / "labels.csv", ["a"])
    with pytest.raises(FileNotFoundError, match=r"The folder '.*absent' does not exist either: set `data\.root`"):
        read_table(tmp_path / "absent" / "labels.csv", ["a"])


def test_a_table_that_is_a_link_to_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").symlink_to(tmp_path / "unmounted.csv")
    with pytest.raises(FileNotFoundError, match=r"labels\.csv' but it is a link to a file that is not there\. The"):
        read_table(tmp_path / "labels.csv", ["a"])


def test_read_header_gives_the_columns(tmp_path: Path) -> None:
    assert read_header(write(tmp_path, "\ufeffa, b\n1,2\n")) == ["a", "b"]


def test_an_image_list_gives_one_name_a_line(tmp_path: Path) -> None:
    assert read_image_list(write(tmp_path, "\ufeffb.png\r\n\r\na.png\r\n   \r\n  \r\n")) == ["b.png", "a.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.png\nb.png\na.png\n", "every image once in .* but 1 are repeated"),
        ("", "is empty"),
        (POINTER, "Git-LFS pointer"),
        (b"<!DOCTYPE html>\n<html></html>\n", "it is a web page. Download the file itself"),
        (b"\xff\xfe", "is empty"),
        (b"\xff", "UTF-8"),
    ],
)
def test_a_malformed_list_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image_list(write(tmp_path, content, "list.txt"))


def test_a_lists_header_is_no_name(tmp_path: Path) -> None:
    assert read_image_list(write(tmp_path, "Image Index\na.png\nb;c.png\n")) == ["a.png", "b;c.png"]
    assert read_image_list(write(tmp_path, "filename,split\na.png,test\n")) == ["a.png"]


def test_targets_are_one_zero_or_unknown() -> None:
    values = parse_targets(pd.DataFrame({"Mass": ["1", "0", "", "1.0", "0,0"]}), Path("labels.csv"))["Mass"]
    assert values.tolist()[:2] + values.tolist()[3:] == [1.0, 0.0, 1.0, 0.0]
    assert math.isnan(values[2])
    assert values.dtype == "float32"


@pytest.mark.parametrize("wrong", ["yes", "2", "0.5", "nan", "True", "-0.5", "1,5"])
def test_any_other_target_is_refused_with_its_line(wrong: str) -> None:
    with pytest.raises(
        ValueError, match=rf"column 'Mass' of 'labels\.csv' but 2 cells .* '{wrong}' 2 times, first on line 3"
    ):
        parse_targets(pd.DataFrame({"Mass": ["1", wrong, "0", wrong]}), Path("labels.csv"))


@pytest.mark.parametrize(
    ("text", "years"),
    [("57", 57), ("058Y", 58), ("012M", 1), ("3d", 3 / 365.25), (" 4 ", 4), ("120", 120)],
)
def test_ages_are_years(text: str, years: float) -> None:
    assert parse_age(text) == pytest.approx(years)


@pytest.mark.parametrize("text", ["", "414", "121Y", "-3", "old", "1000", "<5", "5 feet", "Y", "58 2"])
def test_an_impossible_age_is_nan(text: str) -> None:
    assert math.isnan(parse_age(text))


def test_images_are_found_in_the_root_and_in_image_folders_only(tmp_path: Path) -> None:
    for name in (
        "a.png",
        "images/b.png",
        "images_001/images/c.png",
        "images_012/d.png",
        "other/e.png",
        "x/images/f.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {name: Path(path).relative_to(tmp_path).as_posix() for name, path in index_images(tmp_path).items()}
    images = {name: path for name, path in found.items() if name.endswith(".png")}
    assert images == {
        "a.png": "a.png",
        "b.png": "images/b.png",
        "c.png": "images_001/images/c.png",
        "d.png": "images_012/d.png",
    }


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "images/../../a.png", "C:\\a.png", "..\\a.png", "C:a.png"])
def test_an_image_name_that_leads_out_is_refused(name: str) -> None:
    names = pd.Series(["fine.png", name], index=[0, 5])
    for relative, expected in ((True, "paths below the data folder"), (False, "file names without a folder")):
        with pytest.raises(ValueError, match=rf"{expected} as images in 'l\.csv' but 1 are not, first .* on line 7"):
            check_image_names(names, Path("l.csv"), relative=relative)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\0.png", r"'a\\x00\.png' on line 7, which has the control character '\\x00'"),
        ("a\n.png", r"'a\\n\.png' on line 7, which has the control character"),
        ("\x7f", r"which has the control character '\\x7f'"),
        ("x" * 5000, r"'x{79}…' on line 7, which has a file or folder name of 5,000 bytes"),
        ("ß" * 128 + ".png", r"which has a file or folder name of 260 bytes where 255 are possible"),
    ],
)
def test_an_image_name_that_no_file_can_have_is_refused(name: str, shown: str) -> None:
    names = pd.Series(["fine.png", name, name], index=[0, 5, 6])
    for relative in (True, False):
        with pytest.raises(ValueError, match=rf"can have as images in 'l\.csv' but 2 are none, first .*{shown}"):
            check_image_names(names, Path("l.csv"), relative=relative)


def test_impossible_image_names_are_told_beside_those_that_lead_out() -> None:
    problems = TableProblems()
    names = pd.Series(["a.png", "../b.png", "c\t.png", "/" + "d" * 300, "/".join(["folder"] * 700)])
    allowed = check_image_names(names, Path("l.csv"), relative=True, problems=problems)
    assert allowed.tolist() == [True, False, False, False, False]
    assert ["2 are not" in str(problems.errors[0]), "2 are none" in str(problems.errors[1])] == [True, True]
    assert problems.unknown == {"rows"}


def test_a_folder_in_an_image_name_is_allowed_only_where_paths_are() -> None:
    names = pd.Series(["images/a..b.png"])
    check_image_names(names, Path("labels.csv"), relative=True)
    with pytest.raises(ValueError, match="file names without a folder"):
        check_image_names(names, Path("labels.csv"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"images in 'l\.csv' but it lists none"),
        ([("a.png", "1"), ("", "1")], "name its image but 1 rows do not, first the one on line 3"),
        ([("a.png", " "), ("b.png", "1")], "name its patient but 1 rows do not, first the one on line 2"),
        (
            [(f"{n % 6}.png", "1") for n in range(12)],
            r"but 6 are listed again: 0\.png, .*4\.png, \.\.\., first on line 8\. Keep",
        ),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused(rows: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_table(pd.DataFrame(rows, columns=["image_id", "patient_id"], dtype=object), Path("l.csv"))


def test_a_preview_of_names_shows_when_there_are_more() -> None:
    assert preview(list("abcde")) == "a, b, c, d, e"
    assert preview(list("abcdef")) == "a, b, c, d, e, ..."


def test_the_names_sha256_is_that_of_the_sorted_lines() -> None:
    # printf 'a\nb\n' | sha256sum
    assert names_sha256(["b", "a"]) == "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml" + b"\xff" * 40, "it is an office document. Name another"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 40, "it is an office document"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 40, "it is a PNG image"),
        (bytes(128) + b"DICM" + b"\xff" * 400, "it is a DICOM image"),
        ("Nummer,Größe\n1,2\n".encode("latin-1"), r"it cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_that_is_no_text_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=f"text in UTF-8, with .* but {found}"):
        read_table(write(tmp_path, content), ["a"])
