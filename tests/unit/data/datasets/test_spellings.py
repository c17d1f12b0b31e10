"""No spelling of ids, ages, paths and separators changes who is whom: compared with a reading by the csv module."""

import csv
import io
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.data.datasets.csv_table import CsvLayout

ID_SPELLINGS = ("{}", "0{}", "00{}", "{}.0", "{}.", " {} ")
AGE_SPELLINGS = ("{}", "0{}Y", "{}.0", "{} years", "{}y", " {} ")
PATH_SPELLINGS = (
    "img/{}.png",
    "./img/{}.png",
    "img//{}.png",
    "img\\{}.png",
    "img/./{}.png",
    "img/{}.PNG",
    "img/{}",
)
SEPARATORS = (",", ";", "\t", "|")


class Row(NamedTuple):
    """What a row means: the number of its image and patient, an age and a label."""

    image: int
    patient: int
    age: int
    label: int


rows = st.lists(
    st.builds(Row, st.integers(0, 30), st.integers(0, 6), st.integers(0, 99), st.integers(0, 1)),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row.image,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Row], str]:
    """Rows, and a table that spells them in any way."""
    meant = draw(rows)
    text = io.StringIO()
    separator = draw(st.sampled_from(SEPARATORS))
    if draw(st.booleans()):
        text.write(f"sep={separator}\n")
    writer = csv.writer(text, delimiter=separator, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerow(["image", "note", "patient_id", "years", "Edema"])
    for row in meant:
        image = draw(st.sampled_from(PATH_SPELLINGS)).format(f"f{row.image}")
        patient, age = (
            draw(st.sampled_from(spellings)).format(number)
            for spellings, number in ((ID_SPELLINGS, row.patient), (AGE_SPELLINGS, row.age))
        )
        note = draw(st.sampled_from(["", "a,b", "two\nlines", 'say "no"', "x;y|z"]))
        writer.writerow([image, note, patient, age, draw(st.sampled_from(["{}", "{}.0", "{},0"])).format(row.label)])
    return meant, text.getvalue()


@given(tables())
@settings(max_examples=60, deadline=None)
def test_no_spelling_changes_who_is_whom(drawn: tuple[list[Row], str]) -> None:
    meant, content = drawn
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "img").mkdir()
        for row in meant:
            (root / f"img/f{row.image}.png").write_bytes(bytes([row.image]))
        (root / "labels.csv").write_text(content, newline="")
        table = CsvLayout(age_column="years").read(root, ["Edema"]).table
        contents = [Path(path).read_bytes() for path in table["path"]]
    assert contents == [bytes([row.image]) for row in meant]
    assert table["patient_id"].tolist() == [str(row.patient) for row in meant]
    assert table["age"].tolist() == [float(row.age) for row in meant]
    assert table["Edema"].tolist() == [float(row.label) for row in meant]
    assert all(not math.isnan(age) for age in table["age"])
