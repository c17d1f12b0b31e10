"""Which file a name means."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.data.name_index import NameIndex


@pytest.mark.parametrize(
    ("files", "name", "match"),
    [
        (["a.png", "A.png"], "a.png", "a.png"),
        (["A.png"], "a.png", "A.png"),
        (["A.png", "a.PNG"], "a.png", None),
        (["a.png", "a.jpg"], "a", None),
        (["a.png", "a.jpg"], "a.JPG", "a.jpg"),
        (["a.png"], "a", "a.png"),
        (["a"], "a.dcm", "a"),
        (["a.v2.png"], "a.v2", "a.v2.png"),
        (["a.v2"], "a", None),
        (["x/a.png"], "a.png", "x/a.png"),
        (["x/a.png", "y/a.png"], "a.png", None),
        (["x/a.png", "y/a.png"], "data/y/a.png", "y/a.png"),
        (["x/a.png"], "y/a.png", None),
        (["x/a.png", "y/a.png", "a.png"], "A.png", "a.png"),
        (["x/a.png"], "x\\a.png", "x/a.png"),
        (["Mu\u0308ller.png"], "M\xfcller.png", "Mu\u0308ller.png"),
        (["b.png"], "a.png", None),
        ([], "a.png", None),
        ([".png"], "x.png", None),
    ],
)
def test_a_name_means_the_one_file_that_fits(files: list[str], name: str, match: str | None) -> None:
    assert NameIndex(files).match(name) == match


parts = st.text(st.sampled_from("abAB\xe9"), min_size=1, max_size=2)
paths = st.lists(parts, min_size=1, max_size=3).map(lambda names: "/".join(names) + ".png")


@given(st.sets(paths, max_size=8), paths)
def test_another_spelling_never_takes_one_of_two_files_that_fit_alike(files: set[str], name: str) -> None:
    found = NameIndex(sorted(files)).match(name)
    if name in files:
        assert found == name
        return
    plain = unicodedata.normalize("NFC", name).casefold()
    fitting = [
        file
        for file in files
        if f"/{file.casefold()}".endswith(f"/{plain}") or f"/{plain}".endswith(f"/{file.casefold()}")
    ]
    assert found is None or found in fitting
    assert len(fitting) != 1 or found == fitting[0]
    assert found is not None or len(fitting) != 1


def test_the_nearest_name_is_found_by_its_last_part() -> None:
    index = NameIndex(["x/00000001_001.png", "x/film.png"])
    assert index.nearest("y/00000001_01.png") == "x/00000001_001.png"
    assert index.nearest("quite_different.png") is None
    assert index.nearest("f" * 300) is None


def test_the_nearest_of_very_many_names_is_found_too() -> None:
    index = NameIndex(f"images/{number:08d}_000.png" for number in range(112_120))
    assert index.nearest("00054321_00.png") == "images/00054321_000.png"
    assert index.nearest("x0054321_000.png") in {f"images/{first}0054321_000.png" for first in "01"}
    assert index.nearest("scan of the chest.png") is None
