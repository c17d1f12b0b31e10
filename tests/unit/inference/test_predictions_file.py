"""The predictions file: what is written is read again, and anybody's file is joined or refused."""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.inference.predictions import Predictions, predictions_of
from cxr_lightning.inference.predictions_file import join_predictions, read_predictions, write_predictions
from cxr_lightning.utils.csv_files import lossless_cell, read_lossless, starts_formula
from cxr_lightning.utils.plain_text import visible

HOSTILE = ("=1+1", "<script>alert(1)</script>", "@x", 'a "quoted", name')


def table_of(images: int = 4, labels: tuple[str, ...] = ("Mass", "Edema")) -> pd.DataFrame:
    table = pd.DataFrame({"image_id": [f"{n}.png" for n in range(images)], "patient_id": ["1", "1", "2", "3"][:images]})
    for name in ("path", "split", "view_position", "sex", "age"):
        table[name] = None
    for label in labels:
        table[label] = np.array([1, 0, math.nan, 0][:images], dtype=np.float32)
    return table


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
@settings(max_examples=50, deadline=None)
def test_write_then_read_is_the_identity(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    path = tmp_path_factory.mktemp("p") / "predictions.csv"
    probabilities = np.array([numbers, numbers[::-1]]).T
    predictions = predictions_of(table_of(), ("Mass", "Edema"), probabilities)
    write_predictions(predictions, path)
    again = read_predictions(path)
    assert again.labels == predictions.labels
    assert (again.probabilities == probabilities).all()
    assert np.array_equal(again.targets, predictions.targets, equal_nan=True)
    assert again.image_ids.tolist() == predictions.image_ids.tolist()
    assert again.patient_ids.tolist() == predictions.patient_ids.tolist()


NAMES = st.text(
    st.one_of(st.characters(), st.sampled_from("'=+-@\\\\ x0u1\r\n\t\x1b\u202e\udcff")), min_size=1, max_size=9
)


@given(st.lists(NAMES, min_size=8, max_size=8, unique=True), st.lists(NAMES, min_size=2, max_size=2, unique=True))
@settings(max_examples=100, deadline=None)
def test_every_name_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], labels: list[str]
) -> None:
    table = table_of(4, tuple(labels))
    table["image_id"], table["patient_id"] = names[:4], names[4:]
    path = tmp_path_factory.mktemp("p") / "predictions.csv"
    write_predictions(predictions_of(table, labels, np.full((4, 2), 0.25)), path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if starts_formula(cell) or visible(cell) != cell]
    again = read_predictions(path)
    assert again.labels == tuple(labels)
    assert [*again.image_ids, *again.patient_ids] == names
    assert join_predictions(path, table)[0].image_ids.tolist() == names[:4]


def test_calibrated_columns_and_hostile_names_survive_unchanged(tmp_path: Path) -> None:
    table = table_of(4, HOSTILE[:2])
    table["patient_id"] = HOSTILE
    table["image_id"] = [f"{name.strip()}.png" for name in HOSTILE]
    plain = predictions_of(table, HOSTILE[:2], np.full((4, 2), 0.25))
    predictions = Predictions(
        plain.labels, plain.image_ids, plain.patient_ids, plain.probabilities, plain.targets, np.full((4, 2), 0.1)
    )
    write_predictions(predictions, tmp_path / "p.csv")
    again = read_predictions(tmp_path / "p.csv")
    assert again.labels == HOSTILE[:2]
    assert again.patient_ids.tolist() == list(HOSTILE)
    assert again.image_ids.tolist() == table["image_id"].tolist()
    assert again.calibrated is not None
    assert (again.calibrated == 0.1).all()


@pytest.mark.parametrize(
    "header", ["Image Index,prob_Edema,prob_Mass", "Image Index,Edema,Mass", "x,Mass,Image Index,Edema"]
)
def test_anybodys_file_is_joined_by_image_whatever_its_order_and_columns(tmp_path: Path, header: str) -> None:
    cells = {
        "prob_Edema": "0.{n}",
        "Edema": "0.{n}",
        "prob_Mass": "0.9{n}",
        "Mass": "0.9{n}",
        "x": "?",
        "Image Index": "{n}.png",
    }
    rows = [",".join(cells[name].format(n=n) for name in header.split(",")) for n in (3, 1, 0, 2)]
    found, missing = join_predictions(write(tmp_path / "p.csv", header, *rows), table_of())
    assert missing == 0
    assert found.labels == ("Mass", "Edema")
    assert found.image_ids.tolist() == [f"{n}.png" for n in range(4)]
    assert found.patient_ids.tolist() == ["1", "1", "2", "3"]
    assert found.probabilities.tolist() == [[0.90, 0.0], [0.91, 0.1], [0.92, 0.2], [0.93, 0.3]]


def test_a_column_prob_label_wins_over_a_column_label_which_then_is_the_truth(tmp_path: Path) -> None:
    for header in ("Image Index,Mass,prob_Mass", "Image Index,prob_Mass,Mass"):
        cells = {"Image Index": "{n}.png", "Mass": "1", "prob_Mass": "0.{n}"}
        rows = [",".join(cells[name].format(n=n) for name in header.split(",")) for n in range(4)]
        found, _ = join_predictions(write(tmp_path / "p.csv", header, *rows), table_of())
        assert found.probabilities.ravel().tolist() == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    "header",
    [
        "Image Index,prob_Mass,Patient ID,target_Mass",  # another order
        "Image Index,Patient ID,prob_Mass,target_Mass,remark",  # another column
        r"Image Index,Patient ID,prob_Mass,prob_\x4dass,target_Mass,target_\x4dass",  # no spelling of evaluate.py
    ],
)
def test_names_in_other_peoples_files_are_never_decoded(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    values = {"Image Index": r"dir\x01.png", "Patient ID": "'=1", "prob_Mass": "0.5", "target_Mass": "1"}
    line = ",".join(values.get(name, "0") for name in names)
    path = write(tmp_path / "p.csv", header, line)
    table = table_of(1, ("Mass",)).assign(image_id=r"dir\x01.png")
    assert join_predictions(path, table)[0].probabilities.tolist() == [[0.5]]
    found = read_predictions(path)
    assert (found.image_ids.tolist(), found.patient_ids.tolist()) == ([r"dir\x01.png"], ["'=1"])
    assert found.labels == (("Mass", r"\x4dass") if r"prob_\x4dass" in names else ("Mass",))


def test_an_escape_of_no_character_is_text(tmp_path: Path) -> None:
    name = r"\Uffffffff.png"
    path = write(tmp_path / "p.csv", "Image Index,Patient ID,prob_Mass,target_Mass", f"{name},1,0.5,1")
    assert read_predictions(path).image_ids.tolist() == [name]
    assert read_lossless(r"\U0010ffff") == "\U0010ffff"
    for text in (name, r"\U00110000", "\U0010ffff"):
        assert read_lossless(lossless_cell(text)) == text


def test_missing_images_stop_it_unless_that_is_allowed_and_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "Image Index,Mass", "2.png,0.5", "0.png,0.1")
    with pytest.raises(
        ValueError, match=r"all 4 images .*p\.csv' but 2 are missing: 1\.png, 3\.png.*allow_missing=true"
    ):
        join_predictions(path, table_of())
    found, missing = join_predictions(path, table_of(), allow_missing=True)
    assert (found.image_ids.tolist(), missing) == (["0.png", "2.png"], 2)
    assert found.labels == ("Mass",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Image Index,Mass", "0.png,0.1", "0.png,0.1"], r"every image once .* 1 are duplicated: 0\.png"),
        (["Image Index,Mass", "0.png,0.1", "9.png,0.1"], r"but 1 of 2 rows are of others: 9\.png"),
        (["Image Index,Tumour", "0.png,0.1"], r"prob_<label> or <label> .* columns are \['Image Index', 'Tumour'\]"),
        (["Name,Mass", "0.png,0.1"], r"one column 'Image Index'"),
        (["Image Index;Mass", "0.png;0.1;2"], r"2 fields on every line .* first line 2 with 3"),
        (["Image Index,Mass", "0.png,1.7"], r"in '.*p\.csv' but 1 numbers are not, first 1\.7, of Mass.*logits"),
        (["Image Index,Mass", "0.png,-0.1"], r"first -0\.1"),
        (["Image Index,Mass", "0.png,nan"], r"first nan, of Mass"),
        (["Image Index,Mass", "0.png,"], r"first nan, of Mass"),
        (["Image Index,Mass", "0.png,inf"], r"first inf"),
        (["Image Index,Mass", "0.png,high"], r"numbers in column 'Mass' of '.*p\.csv' but got 'high'"),
        (["Image Index,Mass", "0.png,0.1,0.2"], r"2 fields on every line .* first line 2 with 3"),
        (["version https://git-lfs.github.com/spec/v1"], r"Git-LFS pointer"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        join_predictions(write(tmp_path / "p.csv", *lines), table_of(), allow_missing=True)


def test_a_missing_file_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"predictions file at '.*absent\.csv'"):
        read_predictions(tmp_path / "absent.csv")
    path = write(tmp_path / "p.csv", "Image Index,prob_Mass", "0.png,0.1")
    with pytest.raises(ValueError, match=r"no column Patient ID, target_Mass.*evaluate\.py predictions="):
        read_predictions(path)
    with pytest.raises(ValueError, match=r"no column Patient ID, prob_<label>"):
        read_predictions(write(tmp_path / "q.csv", "Image Index,Mass", "0.png,0.1"))
    wrong = write(tmp_path / "r.csv", "Image Index,Patient ID,prob_Mass,target_Mass", "0.png,1,0.1,2")
    with pytest.raises(ValueError, match=r"1, 0 or nothing in column 'target_Mass' .* but got '2'"):
        read_predictions(wrong)


def test_logits_and_nan_are_refused_in_memory_too() -> None:
    for number in (-3.0, math.nan):
        with pytest.raises(ValueError, match="Give probabilities, not logits"):
            predictions_of(table_of(), ("Mass",), np.full((4, 1), number))


def test_labels_and_rows_can_be_chosen() -> None:
    predictions = predictions_of(table_of(), ("Mass", "Edema"), np.arange(8).reshape(4, 2) / 10)
    assert predictions.columns(["Edema"]).probabilities.ravel().tolist() == [0.1, 0.3, 0.5, 0.7]
    assert predictions.rows(np.array([False, True, False, True])).image_ids.tolist() == ["1.png", "3.png"]


def test_names_are_matched_where_they_mean_one_image_and_explained_else(tmp_path: Path) -> None:
    images = ["p1/study1/view1.jpg", "p2/study1/view1.jpg", "p2/study1/view2.png"]
    table = pd.DataFrame({"image_id": images, "patient_id": ["1", "2", "2"], "Mass": [0.0, 1.0, 0.0]})
    path = tmp_path / "p.csv"
    names = ["data/p1/study1/view1.jpg", "p2\\study1\\VIEW1.JPG", "view2"]
    path.write_text("Image Index;Mass\n" + "".join(f"{name};0,{number}\n" for number, name in enumerate(names, 1)))
    predictions, missing = join_predictions(path, table)
    assert missing == 0
    assert predictions.image_ids.tolist() == images
    np.testing.assert_allclose(predictions.probabilities[:, 0], [0.1, 0.2, 0.3])
    path.write_text("Image Index,Mass\nview1,0.1\n")
    with pytest.raises(ValueError, match=r"'view1' may be 'p1/study1/view1\.jpg' and 'p2/study1/view1\.jpg': write it"):
        join_predictions(path, table)
    path.write_text("Image Index,Mass\np2/study1/view22.png,0.1\n")
    with pytest.raises(ValueError, match=r"of others: .* \(the nearest name is 'p2/study1/view2\.png'\)"):
        join_predictions(path, table)
