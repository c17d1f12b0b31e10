"""No label file is read into a wrong table: it reads as the csv module reads it, or it is an error."""

import csv
import io
import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.labels import NIH_LABELS

HEADER = [
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
]
ODD = ["", "effusion", "Efusion", "Effusion;Mass", "No finding", "1", "nan", "Effusion|", "|Mass", "No Finding|Mass"]

findings = st.one_of(
    st.just("No Finding"),
    st.lists(st.sampled_from(NIH_LABELS), min_size=1, max_size=4, unique=True).map("|".join),
    st.lists(st.sampled_from(NIH_LABELS), min_size=2, max_size=3).map(" | ".join),
    st.sampled_from(ODD),
)
rows = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 3), findings), min_size=1, max_size=8, unique_by=lambda row: row[:2]
)


@st.composite
def label_files(draw: st.DrawFn) -> str:
    """NIH's label file as programs write it, and as accidents leave it."""
    text = io.StringIO()
    writer = csv.writer(text, dialect=draw(st.sampled_from(["excel", "unix"])))
    order = draw(st.permutations(HEADER))
    writer.writerow(order)
    for patient, visit, found in draw(rows):
        row = [f"{patient:08d}_{visit:03d}.png", found, visit, patient, 50, "F", "PA"]
        writer.writerow([dict(zip(HEADER, row, strict=True))[name] for name in order])
    content = text.getvalue()
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["insert", "delete", "cut", "nothing"]))
        if kind == "insert":
            content = (
                content[:place] + draw(st.sampled_from([",", '"', "\n", " ", "|", "x", "\t", ";"])) + content[place:]
            )
        elif kind == "delete":
            content = content[:place] + content[place + 1 :]
        elif kind == "cut":
            content = content[:place]
    return content


SPELLINGS = {re.sub("[ _-]", "", name).lower(): name for name in (*NIH_LABELS, "No Finding")}


def independent(content: str) -> dict[str, tuple[str, frozenset[str]]] | None:
    """Patient and findings by image, by the csv module alone; None where a cell is no finding."""
    records = [[cell.strip() for cell in record] for record in csv.reader(io.StringIO(content, newline=""))]
    header = records[0]
    found = {}
    for record in records[1:]:
        if record:
            cells = dict(zip(header, record, strict=False))
            texts = [name.strip() for name in cells["Finding Labels"].split("|")]
            names = [SPELLINGS.get(re.sub("[ _-]", "", name).lower(), name) for name in texts]
            if names != ["No Finding"] and not set(names) <= set(NIH_LABELS):
                return None
            found[cells["Image Index"]] = (cells["Patient ID"], frozenset(names) - {"No Finding"})
    return found


@given(label_files())
@settings(max_examples=100, deadline=None)
def test_nihs_label_file_is_read_as_the_csv_module_reads_it_or_refused(content: str) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "Data_Entry_2017_v2020.csv").write_text(content, newline="")
        try:
            table = NIHLayout().read(Path(folder)).table
        except ValueError as error:
            table, refused = None, str(error)
    if table is None:
        assert "Data_Entry_2017_v2020.csv" in refused
        return
    expected = independent(content)
    assert expected is not None, "text that is no finding was read"
    assert len(table) == len(expected)
    for row in table.to_dict("records"):
        patient, names = expected[row["image_id"]]
        assert row["patient_id"] == patient
        assert {label for label in NIH_LABELS if row[label] == 1} == names
        assert {row[label] for label in NIH_LABELS} <= {0.0, 1.0}


cells = st.sampled_from(["0", "1", "0.0", "1.0", "", " 1", "2", "-1", "yes", "nan", "0.5", "1e0", "true", "O"])


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_truth_that_is_not_0_or_1_or_uncertain_is_an_error_never_a_zero(values: list[tuple[str, str]]) -> None:
    lines = [f"{number}.png,{number},{first},{second}" for number, (first, second) in enumerate(values)]
    with TemporaryDirectory() as folder:
        (Path(folder) / "labels.csv").write_text("\n".join(["image,patient_id,A,B", *lines]) + "\n")
        meant = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0, "": math.nan, "-1": -1.0}
        known = all(cell.strip() in meant for pair in values for cell in pair)
        if not known:
            with pytest.raises(ValueError, match=r"Expected 0, 1 or nothing"):
                CsvLayout().read(Path(folder), ["A", "B"])
            return
        table = CsvLayout().read(Path(folder), ["A", "B"]).table
    for (first, second), row in zip(values, table.to_dict("records"), strict=True):
        for text, value in ((first, row["A"]), (second, row["B"])):
            wanted = meant[text.strip()]
            assert value == wanted or (math.isnan(value) and math.isnan(wanted))
