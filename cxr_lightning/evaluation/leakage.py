"""Leakage: whether a model has seen the images on which it is evaluated, by drawing the split of its training again."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.evaluation.statements import Statement, statement


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
    return datamodule.resplit(record).table[["image_id", "patient_id", "split"]]


def find_overlap(evaluated: pd.DataFrame, then: pd.DataFrame) -> Iterator[Statement]:
    """Count the evaluated images whose patients took part in the training.

    Args:
        evaluated: Rows of the evaluated images.
        then: The split of the training, from :func:`recorded_split`.
    """
    for split in ("train", "val"):
        patients = set(then["patient_id"][then["split"] == split])
        count = int(evaluated["patient_id"].isin(patients).sum())
        if count:
            yield statement(f"overlap_{split}", count=count, images=len(evaluated))


def fitting_rows(table: pd.DataFrame, evaluated: pd.DataFrame, then: pd.DataFrame | None) -> pd.DataFrame:
    """Images to fit thresholds and calibration on: validation images of the training that are not evaluated now.

    Args:
        table: All rows of the present data.
        evaluated: Rows of the evaluated images.
        then: The split of the training; None if it is not known and the present one counts.
    """
    names = table["image_id"][table["split"] == "val"] if then is None else then["image_id"][then["split"] == "val"]
    rows = table[table["image_id"].isin(set(names)) & ~table["patient_id"].isin(set(evaluated["patient_id"]))]
    return rows[rows["path"].notna()].reset_index(drop=True)
