"""Whether a model has seen the images it is evaluated on: its own split, drawn anew, beside the present one."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cxr_lightning.data.datamodule import ChestXRayDataModule


def recorded_split(record: Mapping[str, Any], datamodule: ChestXRayDataModule) -> pd.DataFrame | None:
    """The table as it was divided when the model was trained.

    Args:
        record: The data record of the training.
        datamodule: The present data, loaded.

    Returns:
        Rows with ``image_id``, ``patient_id`` and ``split``; None if the label and list files are not those of the
        training.
    """
    if record["files"] != datamodule.record()["files"]:
        return None
    settings = {name: value for name, value in record["settings"].items() if name not in ("source", "root")}
    then = ChestXRayDataModule(str(datamodule.root), datamodule.source, subset=record["subset"], **settings)
    then.load(required=(), images=())
    return then.manifest.table[["image_id", "patient_id", "split"]]


def describe_overlap(evaluated: pd.DataFrame, then: pd.DataFrame) -> Iterator[str]:
    """What a reader must know of images whose patients took part in the training.

    Args:
        evaluated: Rows of the evaluated images.
        then: From :func:`recorded_split`.
    """
    parts = {
        "train": "the model was trained on: the numbers are optimistic",
        "val": "epochs were compared on, and perhaps thresholds and calibration fitted: the numbers are optimistic",
    }
    for split, words in parts.items():
        patients = set(then["patient_id"][then["split"] == split])
        count = int(evaluated["patient_id"].isin(patients).sum())
        if count:
            yield f"{count:,} of the {len(evaluated):,} evaluated images are of patients that {words}."


def fitting_rows(table: pd.DataFrame, evaluated: pd.DataFrame, then: pd.DataFrame | None) -> pd.DataFrame:
    """Images to fit thresholds and calibration on: for validation when the model was trained, none evaluated now.

    Args:
        table: All rows of the present data.
        evaluated: Those that are evaluated.
        then: The split of the training; None if it is not known, then the present one counts.
    """
    names = table["image_id"][table["split"] == "val"] if then is None else then["image_id"][then["split"] == "val"]
    rows = table[table["image_id"].isin(set(names)) & ~table["patient_id"].isin(set(evaluated["patient_id"]))]
    return rows[rows["path"].notna()].reset_index(drop=True)
