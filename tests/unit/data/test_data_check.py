"""Everything that is wrong with the data is in one message, and its remedy works when it is applied."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from cxr_lightning.data.data_errors import PatientOverlapError
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.table_problems import DataProblemsError
from tests.conftest import select_rows
from tests.unit.data.test_splits import manifest_of

SETTING = re.compile(r"data\.(\w+)=([\w.]*\w)")
ALL = ("train", "val", "test")


def spoiled(split: Sequence[str], *, missing: Sequence[int] = (), leaked: bool = False) -> Manifest:
    """One patient per image; some images are missing, and the first patient has an image in the last split too."""
    manifest = manifest_of([1] * len(split), split=list(split))
    manifest.table.loc[list(missing), "path"] = None
    if leaked:
        manifest.table.loc[len(split) - 1, "patient_id"] = "p0"
    return manifest


def remedy_of(error: Exception) -> dict[str, Any]:
    """The settings of a message, as a user would paste them."""
    found = dict(SETTING.findall(str(error).replace("`data.", "`")))
    values: dict[str, Any] = {"true": True}
    return {name: values.get(value) or (float(value) if "." in value else value) for name, value in found.items()}


OFFICIAL = ["train"] * 6 + ["val"] * 2 + ["test"] * 4


@pytest.mark.parametrize(
    ("split", "missing", "leaked", "kinds", "settings"),
    [
        (OFFICIAL, [1], False, [FileNotFoundError], {"on_missing": "skip"}),
        (OFFICIAL, [], True, [PatientOverlapError], {"drop_leaked": True}),
        (
            OFFICIAL,
            [1, 8],
            True,
            [PatientOverlapError, FileNotFoundError],
            {"drop_leaked": True, "on_missing": "skip"},
        ),
        # Without its images the validation split is empty: another division is offered, in which no patient leaks.
        (
            OFFICIAL,
            [6, 7],
            True,
            [PatientOverlapError, FileNotFoundError, ValueError],
            {"split": "patient", "on_missing": "skip"},
        ),
        (["train"] * 8 + ["test"] * 4, [], False, [ValueError], {"split": "patient"}),
        (["train_val"] * 8 + ["test"] * 4, [], False, [], {}),
    ],
)
def test_a_remedy_is_offered_that_works(
    split: list[str], missing: list[int], leaked: bool, kinds: list[type], settings: dict[str, Any]
) -> None:
    manifest = spoiled(split, missing=missing, leaked=leaked)
    options: dict[str, Any] = {} if kinds else {"val_fraction": 0.0}
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        select_rows(manifest, images=ALL, **options)
    if len(kinds) > 1:
        assert isinstance(caught.value, DataProblemsError)
        assert [type(error) for error in caught.value.errors] == kinds
        assert all(f"({number})" in str(caught.value) for number in range(1, len(kinds) + 1))
    offered = remedy_of(caught.value)
    assert offered == (settings if kinds else {"val_fraction": 0.1} | offered)
    table = select_rows(manifest, images=ALL, **{**options, **offered}).table
    assert set(table["split"]) == set(ALL)
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()


def test_what_cannot_be_left_out_must_be_brought() -> None:
    manifest = spoiled(OFFICIAL, missing=range(11), leaked=True)
    with pytest.raises(DataProblemsError, match=r"\(3\) without these, no image is left for train, val\.") as caught:
        select_rows(manifest, images=ALL)
    assert "Correct the split lists, unpack the image archives and check `data.root`; then set" in str(caught.value)
    assert remedy_of(caught.value) == {"drop_leaked": True}
    manifest.table["path"] = "/there"
    assert len(select_rows(manifest, images=ALL, drop_leaked=True).table) == 11


def test_settings_that_a_caller_needs_too_are_named_before_the_others() -> None:
    manifest = spoiled(OFFICIAL, missing=[1, 9])
    with pytest.raises(FileNotFoundError, match=r"or set data=nih data\.root=/x data\.on_missing=skip to go on"):
        select_rows(manifest, images=["test"], required=["test"], beside=("data=nih", "data.root=/x"))
