"""Leakage: whether a model was trained on patients on whom it is evaluated, by repeating the split of its training."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.evaluation.statements import Statement, statement


def recorded_split(record: Mapping[str, Any], datamodule: ChestXRayDataModule) -> pd.DataFrame | None:
    """Repeat the split with which the model was trained.

    Args:
        record: The training's data record.
        datamodule: The evaluated data, loaded.

    Returns:
        Rows with ``image_id``, ``patient_id`` and ``split``; None if the label or list files have changed since
        the training.
    """
    if record["files"] != datamodule.record()["files"]:
        return None
    return datamodule.resplit(record).table[["image_id", "patient_id", "split"]]


def find_overlap(evaluated: pd.DataFrame, training_split: pd.DataFrame) -> Iterator[Statement]:
    """Count the evaluated images whose patients were used in the training.

    Args:
        evaluated: Rows of the evaluated images.
        training_split: The split of the training, from :func:`recorded_split`.
    """
    for split in ("train", "val"):
        patients = set(training_split["patient_id"][training_split["split"] == split])
        count = int(evaluated["patient_id"].isin(patients).sum())
        if count:
            yield statement(f"overlap_{split}", count=count, images=len(evaluated))


def fitting_rows(table: pd.DataFrame, evaluated: pd.DataFrame, training_split: pd.DataFrame | None) -> pd.DataFrame:
    """Select the images to fit calibration and thresholds on: the training's validation images of other patients.

    Args:
        table: All rows of the evaluated data.
        evaluated: Rows of the evaluated images.
        training_split: The split of the training; None if it is unknown, then the split of ``table`` is used.
    """
    split = table if training_split is None else training_split
    validation_ids = set(split["image_id"][split["split"] == "val"])
    rows = table[table["image_id"].isin(validation_ids) & ~table["patient_id"].isin(set(evaluated["patient_id"]))]
    return rows[rows["path"].notna()].reset_index(drop=True)
