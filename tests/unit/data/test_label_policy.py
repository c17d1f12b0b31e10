"""Label columns of other files as findings of a model: other names, and uncertain labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.label_policy import LabelPolicy
from cxr_lightning.data.manifest import Manifest, fingerprint

ROWS = ["a.png,1,1.0,-1.0,0.0", "b.png,2,0,1,-1", "c.png,3,,0,1", "d.png,4,-1.0,,"]
MAP = {"Pleural Effusion": "Effusion"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images of four patients, in CheXpert's spelling."""
    (tmp_path / "labels.csv").write_text("\n".join(["image,patient_id,Pleural Effusion,Edema,Fracture", *ROWS]) + "\n")
    return tmp_path


def read(folder: Path, labels: list[str] | None, **policy: Any) -> Manifest:
    manifest, error = LabelPolicy(**policy).read(CsvLayout(), folder, labels)
    if error is not None:
        raise error
    return manifest


@pytest.mark.parametrize(
    ("uncertain", "effusion", "edema"),
    [
        ("ignore", [1, 0, None, None], [None, 1, 0, None]),
        ("zeros", [1, 0, None, 0], [0, 1, 0, None]),
        ("ones", [1, 0, None, 1], [1, 1, 0, None]),
        ({"Effusion": "ones", "Edema": "zeros"}, [1, 0, None, 1], [0, 1, 0, None]),
    ],
)
def test_columns_are_renamed_and_uncertain_labels_are_what_is_said(
    folder: Path, uncertain: Any, effusion: list[Any], edema: list[Any]
) -> None:
    manifest = read(folder, ["Edema", "Hernia", "Effusion"], label_map=MAP, uncertain=uncertain)
    expected = np.array([edema, [None] * 4, effusion], dtype=float).T
    np.testing.assert_array_equal(manifest.targets(), expected.astype("float32"))
    assert manifest.labels == ("Edema", "Hernia", "Effusion")
    meaning = uncertain if isinstance(uncertain, dict) else dict.fromkeys(("Effusion", "Edema"), uncertain)
    assert fingerprint(manifest)["uncertain"] == {
        label: {"images": 1, "taken": meaning[label]} for label in ("Edema", "Effusion")
    }
    assert "findings that the files do not have, which are n/a in every result: Hernia" in manifest.remarks


@pytest.mark.parametrize("uncertain", [None, {"Effusion": "ones"}])
def test_uncertain_labels_that_nothing_is_said_of_are_an_error_with_their_number(folder: Path, uncertain: Any) -> None:
    with pytest.raises(
        ValueError, match=r"label columns of 'labels\.csv' but cells hold -1 \(uncertain\): .*Edema 1\. "
    ):
        read(folder, ["Effusion", "Edema"], label_map=MAP, uncertain=uncertain)
    manifest, error = LabelPolicy(MAP, uncertain).read(CsvLayout(), folder, ["Effusion", "Edema"])
    assert error is not None
    assert "labels" in error.unknown
    assert not (manifest.targets() == -1).any()


def test_files_without_uncertain_labels_need_no_meaning(folder: Path) -> None:
    path = folder / "labels.csv"
    path.write_text(path.read_text().replace("-1.0", "0").replace("-1", "0"))
    assert read(folder, ["Edema"]).uncertain == {}
    assert read(folder, ["Edema"], uncertain="ones").uncertain == {}


@pytest.mark.parametrize(
    ("policy", "labels", "message"),
    [
        ({"uncertain": "maybe"}, ["Edema"], r"ignore, zeros or ones as `data\.uncertain`.* but got 'maybe'"),
        ({"uncertain": {"Edema": "one"}}, ["Edema"], r"but got 'one'\. Did you mean 'ones'\?"),
        (
            {"uncertain": {"Oedema": "ones"}},
            ["Fracture"],
            r"findings of the model in `data\.uncertain` but got 'Oedema'",
        ),
        ({"label_map": {"Pleural Efusion": "Effusion"}}, ["Effusion"], r"Did you mean 'Pleural Effusion'\?"),
        ({"label_map": {"Pleural Effusion": "Efusion"}}, ["Effusion"], r"got 'Efusion'\. Did you mean 'Effusion'\?"),
        ({"label_map": {"Pleural Effusion": "Edema"}}, ["Edema"], r"have a column 'Edema' beside 'Pleural Effusion'"),
        ({"label_map": {"Edema": "A", "Fracture": "A"}}, ["A"], "every label once"),
        ({"label_map": {"Edema": "age"}}, ["age"], r"names that the table does not use itself but got \['age'\]"),
        ({"label_map": {"Edema": "path"}}, None, r"but got \['path'\]"),
        ({"label_map": {"patient_id": "A"}}, ["A"], "columns of the label file .* got 'patient_id'"),
        ({"label_map": {}}, ["Effusion"], "one column 'Effusion'"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(folder: Path, policy: Any, labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(folder, labels, **policy)


def test_columns_may_change_their_names_with_each_other(folder: Path) -> None:
    manifest = read(
        folder, ["Edema", "Fracture"], label_map={"Edema": "Fracture", "Fracture": "Edema"}, uncertain="zeros"
    )
    np.testing.assert_array_equal(manifest.targets()[:, 0], np.array([0, 0, 1, np.nan], dtype="float32"))


def test_other_layouts_are_renamed_too_with_their_boxes(nih_folder: Path) -> None:
    plain = NIHLayout().read(nih_folder)
    policy = LabelPolicy({"Effusion": "Pleural Effusion"})
    manifest, error = policy.read(NIHLayout(), nih_folder, ["Pleural Effusion", "Mass", "Fracture"])
    assert error is None
    np.testing.assert_array_equal(manifest.table["Pleural Effusion"], plain.table["Effusion"])
    assert manifest.table["Fracture"].isna().all()
    assert set(manifest.boxes["label"]) <= {"Pleural Effusion", "Mass"}
    renamed, _ = policy.read(NIHLayout(), nih_folder, None)
    assert renamed.labels == tuple("Pleural Effusion" if label == "Effusion" else label for label in plain.labels)
