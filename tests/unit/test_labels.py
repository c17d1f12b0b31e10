"""Finding names: decoding and encoding are inverse, and nothing wrong passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.labels import (
    BOX_LIST_SPELLING,
    NIH_LABELS,
    WALKTHROUGH_LABELS,
    check_labels,
    decode_findings,
    encode_findings,
)


@given(st.frozensets(st.sampled_from(NIH_LABELS)))
def test_decode_is_the_inverse_of_encode(findings: frozenset[str]) -> None:
    assert decode_findings(encode_findings(findings)) == findings


@given(st.lists(st.sampled_from(NIH_LABELS), min_size=1, unique=True).flatmap(st.permutations))
def test_the_order_in_the_cell_does_not_matter(findings: list[str]) -> None:
    assert decode_findings("|".join(findings)) == frozenset(findings)


def test_a_name_within_another_is_not_found() -> None:
    known = ["Effusion", "Pleural Effusion", "Mass", "Mass Effect"]
    assert decode_findings("Pleural Effusion", known) == {"Pleural Effusion"}
    assert decode_findings("Mass Effect|Effusion", known) == {"Mass Effect", "Effusion"}


def test_known_names_may_come_from_an_iterator() -> None:
    assert decode_findings("Edema|Mass", iter(["Mass", "Edema"])) == {"Mass", "Edema"}


def test_blanks_around_names_do_not_matter() -> None:
    assert decode_findings(" Mass | Edema ") == {"Mass", "Edema"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Cardiac Enlargement", "unknown finding 'Cardiac Enlargement'"),
        ("Mass|cardiomegaly", "unknown finding 'cardiomegaly'"),
        ("Mass, Edema", "unknown finding 'Mass, Edema'"),
        ("", "unknown finding ''"),
        ("Mass|", "unknown finding ''"),
        ("No Finding|Mass", "'No Finding' beside other findings in 'No Finding|Mass'"),
        ("Mass|No Finding", "'No Finding' beside other findings"),
    ],
)
def test_a_malformed_cell_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        decode_findings(text)


def test_the_walkthrough_only_changes_the_order() -> None:
    assert sorted(WALKTHROUGH_LABELS) == list(NIH_LABELS) == sorted(NIH_LABELS)
    assert (WALKTHROUGH_LABELS[0], WALKTHROUGH_LABELS[-1]) == ("Cardiomegaly", "Consolidation")
    assert set(BOX_LIST_SPELLING.values()) <= set(NIH_LABELS)


def test_check_labels_keeps_the_order() -> None:
    assert check_labels(["Mass", "Edema"]) == ("Mass", "Edema")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "at least one label but got none"),
        (["Mass", " "], r"non-empty name but got \[' '\]"),
        (["Mass", 7], r"non-empty name but got \[7\]"),
        (["Mass", "Edema", "Mass"], r"once but got \['Mass'\]"),
        ("Edma", "list of labels but got the text 'Edma'"),
    ],
)
def test_unusable_labels_are_refused(labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(labels)
