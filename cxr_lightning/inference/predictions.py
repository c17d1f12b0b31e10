"""Predictions as a table: read, write, and joined with the images that they are of. No model is needed."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.data.csv_reader import read_header, read_table
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, preview, target_array
from cxr_lightning.utils.io import atomic_write_text

IMAGE, PATIENT = "Image Index", "Patient ID"
RAW, CALIBRATED, TARGET = "prob_", "calibrated_", "target_"
"""What the columns of a label begin with."""

_TRUTH = {"1": 1.0, "0": 0.0, "": math.nan}
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Probabilities of images, and what is known about them.

    Attributes:
        labels: Finding names, in column order.
        image_ids: ``(N,)`` text.
        patient_ids: ``(N,)`` text.
        probabilities: Raw, ``(N, C)`` float64 in [0, 1].
        targets: ``(N, C)``; 1 present, 0 absent, NaN unknown.
        calibrated: Calibrated probabilities, ``(N, C)``; None where nothing is fitted.
    """

    labels: tuple[str, ...]
    image_ids: NDArray[np.object_]
    patient_ids: NDArray[np.object_]
    probabilities: Array
    targets: Array
    calibrated: Array | None = None

    def __post_init__(self) -> None:
        check_probabilities(self.probabilities, self.labels, "the predictions")

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Predictions":
        """Some of the images."""
        return Predictions(
            self.labels,
            self.image_ids[chosen],
            self.patient_ids[chosen],
            self.probabilities[chosen],
            self.targets[chosen],
            None if self.calibrated is None else self.calibrated[chosen],
        )

    def columns(self, labels: Sequence[str]) -> "Predictions":
        """Some of the labels, in the given order."""
        positions = [self.labels.index(label) for label in labels]
        calibrated = None if self.calibrated is None else self.calibrated[:, positions]
        return replace(
            self,
            labels=tuple(labels),
            probabilities=self.probabilities[:, positions],
            targets=self.targets[:, positions],
            calibrated=calibrated,
        )


def check_probabilities(probabilities: Array, labels: Sequence[str], origin: str) -> None:
    """Refuse what is no probability.

    Raises:
        ValueError: If a number is NaN, below 0 or above 1; the message names the labels.
    """
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # NaN compares false
    if wrong.any():
        names = [label for label, column in zip(labels, wrong.T, strict=True) if column.any()]
        first = probabilities[wrong][0]
        raise ValueError(
            f"Expected probabilities in [0, 1] in {origin} but {int(wrong.sum())} numbers are not, first {first:g}, "
            f"of {preview(names)}. Give probabilities, not logits: 1 / (1 + exp(-logit)); leave no number out."
        )


def of_table(table: pd.DataFrame, labels: Sequence[str], probabilities: Array) -> Predictions:
    """Predictions of the images in a manifest's table, in its order.

    Args:
        table: N rows with ``image_id``, ``patient_id`` and the labels.
        labels: C label columns.
        probabilities: ``(N, C)``.
    """
    return Predictions(
        tuple(labels),
        table["image_id"].to_numpy(dtype=object),
        table["patient_id"].to_numpy(dtype=object),
        np.asarray(probabilities, dtype=np.float64),
        target_array(table, labels).astype(np.float64),
    )


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a predictions file; numbers are written so that reading gives the same ones.

    Names are written as they are, also such as a spreadsheet would take for a formula: the file is for programs.
    """
    parts = {RAW: predictions.probabilities, CALIBRATED: predictions.calibrated, TARGET: predictions.targets}
    columns: list[tuple[str, list[str]]] = [
        (IMAGE, predictions.image_ids.tolist()),
        (PATIENT, predictions.patient_ids.tolist()),
    ]
    for prefix, values in parts.items():
        if values is not None:
            text = _truth_text if prefix == TARGET else repr
            columns += [
                (prefix + label, [text(number) for number in column.tolist()])
                for label, column in zip(predictions.labels, values.T, strict=True)
            ]
    with atomic_write_text(path) as file:
        writer = csv.writer(file)
        writer.writerow([name for name, _ in columns])
        writer.writerows(zip(*(cells for _, cells in columns), strict=True))


def _truth_text(value: float) -> str:
    return "" if math.isnan(value) else str(int(value))


def read_predictions(path: Path) -> Predictions:
    """Read a file that :func:`write_predictions` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing or doubled, an image is doubled, or a cell holds no such number.
    """
    header = _header(path)
    labels = tuple(name.removeprefix(RAW) for name in header if name.startswith(RAW))
    calibrated = [CALIBRATED + label for label in labels if CALIBRATED + label in header]
    needed = [RAW + label for label in labels] + [TARGET + label for label in labels]
    absent = [name for name in (IMAGE, PATIENT, *(needed or [f"{RAW}<label>"])) if name not in header]
    if absent:
        raise ValueError(
            f"Expected a predictions file of evaluate.py in '{path}' but it has no column {preview(absent)}. "
            f"Score the file with 'evaluate.py predictions=...' first and give the predictions.csv of that report."
        )
    raw = read_table(path, [IMAGE, PATIENT, *needed, *calibrated])
    _refuse_doubled(raw[IMAGE], path)
    targets = np.stack([_truth(raw[TARGET + label], path) for label in labels], axis=1)
    probabilities = _probabilities(raw, [RAW + label for label in labels], labels, path)
    fitted = _probabilities(raw, calibrated, labels, path) if len(calibrated) == len(labels) else None
    return Predictions(labels, _texts(raw[IMAGE]), _texts(raw[PATIENT]), probabilities, targets, fitted)


def score_table(path: Path, table: pd.DataFrame, *, allow_missing: bool = False) -> tuple[Predictions, int]:
    """Anybody's predictions, joined with the images that they should be of.

    The file has ``Image Index`` and, for each label, ``prob_<label>`` or, if there is none, ``<label>``; other columns
    are not looked at.

    Args:
        path: The CSV.
        table: Rows of the manifest: ``image_id``, ``patient_id`` and label columns.
        allow_missing: Go on with the images that are predicted, instead of stopping.

    Returns:
        Predictions in the table's order of the labels that both have, and the number of images that are missing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If rows are doubled, unknown or missing, no label is known, or a number is no probability.
    """
    header = _header(path)
    # A file that has both has the truth in `<label>`: the last one found counts.
    found = {label: name for label in _labels_of(table) for name in (label, RAW + label) if name in header}
    if not found:
        raise ValueError(
            f"Expected columns prob_<label> or <label> in '{path}' for labels among {preview(_labels_of(table))} "
            f"but its columns are {header[:30]}. Rename the columns."
        )
    raw = read_table(path, [IMAGE, *found.values()])
    _refuse_doubled(raw[IMAGE], path)
    images = table["image_id"].astype(str)
    unknown = raw[IMAGE][~raw[IMAGE].isin(images)]
    if len(unknown):
        raise ValueError(
            f"Expected only images that belong in '{path}' but {len(unknown)} of {len(raw)} rows are of others: "
            f"{preview(unknown.tolist())}. `predictions` are of the evaluated split, `val_predictions` of images "
            "outside it. Delete these rows, or choose the data or `split` that they are of."
        )
    kept = table[images.isin(raw[IMAGE])]
    missing = images[~images.isin(raw[IMAGE])].tolist()
    if missing and (not allow_missing or kept.empty):
        raise ValueError(
            f"Expected predictions of all {len(table)} images of the evaluated split in '{path}' but {len(missing)} "
            f"are missing: {preview(missing)}. Add them, or set 'allow_missing=true' to score the others."
        )
    ordered = raw.set_index(IMAGE).loc[kept["image_id"].astype(str).tolist()]
    probabilities = _probabilities(ordered, list(found.values()), list(found), path)
    return of_table(kept, list(found), probabilities), len(missing)


def _header(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a predictions file at '{path}' but there is no such file. Check the path.")
    return read_header(path)


def _labels_of(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in MANIFEST_COLUMNS]


def _refuse_doubled(names: pd.Series, path: Path) -> None:
    doubled = names[names.duplicated()].unique()
    if len(doubled):
        raise ValueError(
            f"Expected every image once in '{path}' but {len(doubled)} are there again: {preview(doubled)}. "
            "Keep one row for each."
        )


def _probabilities(raw: pd.DataFrame, columns: Sequence[str], labels: Sequence[str], path: Path) -> Array:
    values = np.stack([_numbers(raw[column], path) for column in columns], axis=1)
    check_probabilities(values, labels, f"'{path}'")
    return values


def _numbers(cells: pd.Series, path: Path) -> Array:
    def number(text: str) -> float:
        try:
            return float(text) if text else math.nan
        except ValueError:
            raise ValueError(
                f"Expected numbers in column '{cells.name}' of '{path}' but got {text!r}. Correct the cell."
            ) from None

    return np.array([number(text) for text in cells], dtype=np.float64)


def _truth(cells: pd.Series, path: Path) -> Array:
    wrong = [text for text in cells if text not in _TRUTH]
    if wrong:
        raise ValueError(
            f"Expected 1, 0 or nothing in column '{cells.name}' of '{path}' but got {wrong[0]!r}. Correct the cell."
        )
    return np.array([_TRUTH[text] for text in cells], dtype=np.float64)


def _texts(cells: pd.Series) -> NDArray[np.object_]:
    texts: NDArray[np.object_] = cells.to_numpy(dtype=object)
    return texts
