"""References are measured in a time that grows with their number, however many keys there are."""

import time

import pytest

from cxr_lightning.app.references import check_references

MAX_SECONDS = 2


def test_references_to_the_last_of_many_keys_are_found_at_once() -> None:
    keys = {f"k{number}": 1 for number in range(19_000)}
    before = time.monotonic()
    check_references({**keys, **{f"r{number}": "${k18999}" for number in range(900)}})
    assert time.monotonic() - before < MAX_SECONDS


@pytest.mark.parametrize(
    "values",
    [["${k18999}" * 400] * 10, ["${k18999}"] * 5000, [f"${{k18999}} {'x' * 3000}"] * 500],
    ids=["many in one", "many values", "long values"],
)
def test_too_many_references_are_refused_at_once(values: list[str]) -> None:
    keys = {f"k{number}": 1 for number in range(19_000)}
    content = {**keys, **{f"r{number}": f"{value}{number}" for number, value in enumerate(values)}}
    before = time.monotonic()
    with pytest.raises(ValueError, match=r"Expected at most .* \$\{\.\.\.\}"):
        check_references(content)
    assert time.monotonic() - before < MAX_SECONDS


def test_keys_are_found_by_their_text() -> None:
    check_references({1: {"a": 1}, "b": ["x", "${1.a}"], "c": "${b.1}", "d": "${b[1]}"})
    with pytest.raises(ValueError, match="refers to itself"):
        check_references({1: {"a": "${b.1}"}, "b": ["x", "${1.a}"]})
