"""Names of files that are made from any text."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.utils.safe_names import MAX_NAME_LENGTH, safe_name, safe_names

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("ab-_./\\\\:$ [\x1b\n")), max_size=90)


@given(TEXTS, TEXTS)
def test_different_texts_have_different_valid_names(first: str, second: str) -> None:
    names = [safe_name(first), safe_name(second)]
    assert (names[0] == names[1]) == (first == second)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name)
        assert len(name) <= MAX_NAME_LENGTH
        assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)", name, re.IGNORECASE)


def test_names_differ_where_32_bits_of_the_hash_are_the_same() -> None:
    assert safe_name("a 28741") != safe_name("a 30181")


@given(st.lists(st.one_of(TEXTS, st.text("abAB", max_size=2)), max_size=9))
def test_names_of_a_list_differ_in_more_than_case(texts: list[str]) -> None:
    names = safe_names(texts)
    assert list(names) == list(dict.fromkeys(texts))
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert safe_names(["Mass", "Edema"]) == {"Mass": "Mass", "Edema": "Edema"}


def test_a_name_that_looks_like_another_ones_is_changed_too() -> None:
    forged = safe_name("../x")
    assert safe_name(forged) != forged
    assert safe_name("Mass") == "Mass"
    assert safe_name("a", "in/a.png") != safe_name("a", "other/a.png")
