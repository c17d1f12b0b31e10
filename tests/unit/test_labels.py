"""Finding names: splitting and encoding are inverse, and nothing wrong passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.labels import (
    BOX_LIST_SPELLING,
    NIH_LABELS,
    WALKTHROUGH_LABELS,
    check_labels,
    encode_findings,
    split_findings,
)


@given(st.frozensets(st.sampled_from(NIH_LABELS)))
def test_split_is_the_inverse_of_encode(findings: frozenset[str]) -> None:
    assert split_findings(encode_findings(findings)) == (sorted(findings) or ["No Finding"])


def test_a_name_within_another_is_not_found_and_blanks_do_not_matter() -> None:
    assert split_findings("Mass Effect|Effusion") == ["Mass Effect", "Effusion"]
    assert split_findings(" Mass | Edema ") == ["Mass", "Edema"]
    assert split_findings("Mass|") == ["Mass", ""]


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
