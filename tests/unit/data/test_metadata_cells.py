"""What cells mean, in whatever spelling."""

import math
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.data.metadata_cells import is_null, parse_age, parse_patient, parse_sex, parse_split, says_unknown
from cxr_lightning.data.metadata_columns import METADATA_READERS, read_patients
from cxr_lightning.data.table_problems import TableProblems

SPELLINGS_OF_NUMBERS = ("{}", "0{}", "000{}", "{}.0", "{}.", "{}.00", " {} ", "00{}.0", "{},0", "\t{}\xa0")
OTHER_NUMBERS = ("{}.5", "{}.000", "{},000", "{}e3", "-{}", "{}0")


@given(st.integers(0, 10**18), st.sampled_from(SPELLINGS_OF_NUMBERS), st.sampled_from(SPELLINGS_OF_NUMBERS))
def test_a_number_is_one_patient_in_every_spelling(number: int, one: str, other: str) -> None:
    assert parse_patient(one.format(number)) == parse_patient(other.format(number)) == str(number)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(SPELLINGS_OF_NUMBERS))
def test_two_numbers_are_two_patients(one: int, other: int, spelling: str) -> None:
    assert (parse_patient(spelling.format(one)) == parse_patient(str(other))) == (one == other)


@given(st.integers(1, 10**6), st.sampled_from(OTHER_NUMBERS))
def test_numbers_with_thousands_or_other_marks_are_other_patients(number: int, spelling: str) -> None:
    assert parse_patient(spelling.format(number)) != str(number)


def test_long_cells_take_no_time() -> None:
    started = time.process_time()
    for text in ("5" + " " * 100_000 + "x", "0" * 1_000_000 + "x", "1" * 1_000_000, "a" * 1_000_000, "- " * 100_000):
        assert math.isnan(parse_age(text))
        assert parse_split(text) == parse_sex(text) == ""
        assert parse_patient(text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "patient"),
    [
        (" p01", "p01"),
        ("p1.0", "p1.0"),
        ("1.5", "1.5"),
        ("1e3", "1e3"),
        ("-1", "-1"),
        ("0x10", "0x10"),
        ("P01", "P01"),
        ("Mu\u0308ller", "M\xfcller"),
        ("Nancy", "Nancy"),
        ("0", "0"),
        ("000", "0"),
    ],
)
def test_other_patients_are_trimmed_text(text: str, patient: str) -> None:
    assert parse_patient(text) == patient


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "nan",
        "NaN",
        "None",
        "NULL",
        "na",
        "N/A",
        "<NA>",
        "#N/A",
        "-",
        "?",
        " NaT ",
        "-nan",
        "#N/A N/A",
        "1.#IND",
        "\\N",
        "#REF!",
    ],
)
def test_words_for_nothing_are_no_patient(text: str) -> None:
    assert is_null(text)
    assert parse_patient(text) == ""


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("57", 57),
        ("058Y", 58),
        ("58.0", 58),
        ("58,5", 58.5),
        (">89", 89),
        ("> 89", 89),
        (">=90", 90),
        ("≥90", 90),
        ("90+", 90),
        ("90 and over", 90),
        ("over 89", 89),
        ("58 years", 58),
        ("58 yrs.", 58),
        ("58 y/o", 58),
        ("58-year-old", 58),
        ("age 58", 58),
        ("58Years", 58),
        ("012M", 1),
        ("  58   years ", 58),
        ("18 months", 1.5),
        ("3d", 3 / 365.25),
        ("003W", 21 / 365.25),
        ("2 weeks", 14 / 365.25),
        ("000Y", 0),
        ("0", 0),
        (" 4 ", 4),
        ("120", 120),
    ],
)
def test_an_age_is_read_in_many_spellings(text: str, years: float) -> None:
    assert parse_age(text) == pytest.approx(years)


@given(st.integers(0, 120), st.sampled_from(["{}", "{:03d}Y", "{}.0", "{} years", ">{}", "{}+", "{}y", "0{} yr"]))
def test_the_spelling_of_an_age_does_not_change_it(years: int, spelling: str) -> None:
    assert parse_age(spelling.format(years)) == years


@pytest.mark.parametrize(
    "text",
    ["", "414", "121Y", "-3", "old", "years", "1000", "<5", "5 feet", "58 59", "58M", "61F", "1950-01-01", "58Q"],
)
def test_another_text_is_no_age(text: str) -> None:
    assert math.isnan(parse_age(text))


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        ("M", "M"),
        ("male", "M"),
        ("Man", "M"),
        ("F", "F"),
        ("FEMALE", "F"),
        ("f.", "F"),
        ("Other", "O"),
        ("58", ""),
        ("mf", ""),
    ],
)
def test_a_sex_is_read_in_many_spellings(text: str, sex: str) -> None:
    assert parse_sex(text) == sex


@pytest.mark.parametrize(
    ("split", "texts"),
    [
        ("train", "train Train TRAINING trn train_set Training-Set"),
        ("val", "val VALIDATE valid Validation dev development tune val_split"),
        ("test", "test TESTING Test_set holdout held-out"),
        ("train_val", "train_val trainval train-val TRAIN+VAL train/validation"),
        ("", "extra fold1 0 traim testtrain x !train ~test 1test val0 test?"),
    ],
)
def test_a_split_is_read_in_many_spellings(split: str, texts: str) -> None:
    assert {parse_split(text) for text in texts.split()} == {split}


def test_what_says_that_nothing_is_known_is_not_unread() -> None:
    assert [says_unknown(text) for text in ("U", "unknown", "", "nan", "58")] == [True, True, True, True, False]


def read(name: str, texts: list[str]) -> tuple[list[object], list[str]]:
    problems = TableProblems()
    values = METADATA_READERS[name].read(pd.Series(texts), "C", Path("folder/l.csv"), problems)
    return values.astype(object).where(values.notna(), None).tolist(), problems.remarks


def test_cells_that_cannot_be_read_are_counted_with_their_lines() -> None:
    values, remarks = read("age", ["58Y", "fifty", "", "414", "fifty", "0"])
    assert values == [58.0, None, None, None, None, 0.0]
    assert remarks == [
        "3 cells of column 'C' of 'l.csv' state no age that can be read, or an impossible one: 'fifty' 2 times, "
        "first on line 3, '414' on line 5"
    ]
    assert read("sex", ["m", "Female", "male"]) == (["M", "F", "M"], [])
    values, (remark,) = read("view_position", ["pa", "L", "oblique"])
    assert values == ["PA", "LATERAL", "OBLIQUE"]
    assert "1 cells of column 'C' of 'l.csv' name other views than PA, AP and lateral: 'oblique' on line 4" in remark


def test_a_column_with_few_values_is_said() -> None:
    assert read("sex", ["M", "", "nan"])[1] == ["column 'C' of 'l.csv' has a value in 1 of 3 rows only"]
    assert read("age", ["", "u"])[1] == ["column 'C' of 'l.csv' has a value in 0 of 2 rows only"]
    assert read("age", [])[1] == []


def test_one_patient_in_several_spellings_is_said() -> None:
    problems = TableProblems()
    assert read_patients(pd.Series(["1.23457E+19", "7"]), "pid", Path("l.csv"), problems).tolist()[0] == "1.23457E+19"
    assert "1 patients of column 'pid' of 'l.csv', such as '1.23457E+19', are numbers that a" in problems.remarks.pop()
    cells = pd.Series(["100", "100.0", "2", "p", "nan"])
    assert read_patients(cells, "pid", Path("l.csv"), problems).tolist() == ["100", "100", "2", "p", ""]
    assert problems.remarks == [
        "1 patients of column 'pid' of 'l.csv' are spelled in several ways, such as '100' and '100.0'; each is one "
        "patient"
    ]
