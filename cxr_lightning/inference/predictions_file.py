"""Read and write predictions as CSV files, and join them with a data set's images. Needs no model."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.data.csv_reader import read_header, read_table
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, preview
from cxr_lightning.data.name_index import NameIndex
from cxr_lightning.inference.predictions import Predictions, check_probabilities, predictions_of
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.csv_files import lossless_cell, read_lossless, write_lossless
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.plain_text import shorten

IMAGE_COLUMN, PATIENT_COLUMN = "Image Index", "Patient ID"
_RAW, _CALIBRATED, _TARGET = "prob_", "calibrated_", "target_"
"""Prefixes of a label's columns."""
_TARGET_VALUES = {"1": 1.0, "0": 0.0, "": math.nan}


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a predictions file; reading it gives the same names and numbers exactly.

    Names that a spreadsheet would take for a formula are escaped, which reading undoes.
    """
    parts = {_RAW: predictions.probabilities, _CALIBRATED: predictions.calibrated, _TARGET: predictions.targets}
    columns: list[tuple[str, list[str]]] = [
        (IMAGE_COLUMN, predictions.image_ids.tolist()),
        (PATIENT_COLUMN, predictions.patient_ids.tolist()),
    ]
    for prefix, values in parts.items():
        if values is not None:
            text = _targets_text if prefix == _TARGET else _probability_text
            columns += [
                (prefix + label, [text(number) for number in column.tolist()])
                for label, column in zip(predictions.labels, values.T, strict=True)
            ]
    with atomic_write_text(path) as file:
        write_lossless(file, [[name for name, _ in columns], *zip(*(cells for _, cells in columns), strict=True)])


def _probability_text(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _targets_text(value: float) -> str:
    return "" if math.isnan(value) else str(int(value))


def read_predictions(path: Path) -> Predictions:
    """Read a file that :func:`write_predictions` wrote.

    Its columns may be in another order, or some of them be deleted; names are then read as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing or duplicated, an image is duplicated, or a cell holds no valid number.
    """
    header = _header(path)
    columns = _columns(header)
    labels = tuple(name.removeprefix(_RAW) for name in columns if name.startswith(_RAW))
    names = [_CALIBRATED + label for label in labels if _CALIBRATED + label in columns]
    required = [_RAW + label for label in labels] + [_TARGET + label for label in labels]
    absent = [name for name in (IMAGE_COLUMN, PATIENT_COLUMN, *(required or [f"{_RAW}<label>"])) if name not in columns]
    if absent:
        raise ValueError(
            f"Expected a predictions file of evaluate.py in '{path}' but it has no column {preview(absent)}. "
            f"Score the file with 'evaluate.py predictions=...' first and give the predictions.csv of that report."
        )
    read = [IMAGE_COLUMN, PATIENT_COLUMN, *required, *names]
    raw = read_table(path, [columns[name] for name in read]).set_axis(read, axis="columns")
    if _is_own(header):
        raw[[IMAGE_COLUMN, PATIENT_COLUMN]] = raw[[IMAGE_COLUMN, PATIENT_COLUMN]].map(read_lossless)
    _refuse_duplicates(raw[IMAGE_COLUMN], path)
    targets = np.stack([_targets(raw[_TARGET + label], path) for label in labels], axis=1)
    probabilities = _probabilities(raw, [_RAW + label for label in labels], labels, path)
    calibrated = _probabilities(raw, names, labels, path) if len(names) == len(labels) else None
    return Predictions(
        labels, _texts(raw[IMAGE_COLUMN]), _texts(raw[PATIENT_COLUMN]), probabilities, targets, calibrated
    )


def join_predictions(path: Path, table: pd.DataFrame, *, allow_missing: bool = False) -> tuple[Predictions, int]:
    """Join the predictions of any program with the images that they belong to.

    The file has ``Image Index`` and, for each label, ``prob_<label>`` or, if there is none, ``<label>``; other columns
    are ignored. An image's name may lack its ending or a folder, as long as it means one image. In a file that
    :func:`write_predictions` wrote, names are read as :func:`read_predictions` does.

    Args:
        path: The CSV.
        table: Rows of the manifest: ``image_id``, ``patient_id`` and label columns.
        allow_missing: Go on with the images that are predicted, instead of stopping.

    Returns:
        Predictions in the table's order of the labels that both have, and the number of images that are missing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If rows are duplicated, unknown or missing, no label is known, or a number is no probability.
    """
    header = _header(path)
    # With both columns in a file, `<label>` is the ground truth, so `prob_<label>` comes last and counts.
    known = _columns(header)
    columns = {label: known[name] for label in _labels_of(table) for name in (label, _RAW + label) if name in known}
    if not columns:
        raise ValueError(
            f"Expected columns prob_<label> or <label> in '{path}' for labels among {preview(_labels_of(table))} "
            f"but its columns are {header[:30]}. Rename the columns."
        )
    raw = read_table(path, [IMAGE_COLUMN, *columns.values()])
    if _is_own(header):
        raw[IMAGE_COLUMN] = raw[IMAGE_COLUMN].map(read_lossless)
    images = table["image_id"].astype(str)
    index = NameIndex(images)
    raw[IMAGE_COLUMN] = raw[IMAGE_COLUMN].map(lambda name: index.match(name) or name)
    _refuse_duplicates(raw[IMAGE_COLUMN], path)
    unknown = raw[IMAGE_COLUMN][~raw[IMAGE_COLUMN].isin(images)]
    if len(unknown):
        raise ValueError(
            f"Expected only images that belong in '{path}' but {len(unknown)} of {len(raw)} rows are of others: "
            f"{preview(unknown.tolist())}{_nearest(unknown.iloc[0], index)}. `predictions` are of the evaluated "
            "split, `val_predictions` of images outside it. Delete these rows, or choose the data or `split` of theirs."
        )
    predicted = table[images.isin(raw[IMAGE_COLUMN])]
    missing = images[~images.isin(raw[IMAGE_COLUMN])].tolist()
    if missing and (not allow_missing or predicted.empty):
        raise ValueError(
            f"Expected predictions of all {len(table)} images of the evaluated split in '{path}' but {len(missing)} "
            f"are missing: {preview(missing)}. Add them, or set 'allow_missing=true' to score the others."
        )
    ordered = raw.set_index(IMAGE_COLUMN).loc[predicted["image_id"].astype(str).tolist()]
    probabilities = _probabilities(ordered, list(columns.values()), list(columns), path)
    return predictions_of(predicted, list(columns), probabilities), len(missing)


def _header(path: Path) -> list[str]:
    if problem := file_problem(path):
        raise FileNotFoundError(f"Expected a predictions file at '{path}' but {problem}. Check the path.")
    return read_header(path, columns=[IMAGE_COLUMN])


def _columns(header: Sequence[str]) -> dict[str, str]:
    """A file's columns by their names; in one that :func:`write_predictions` wrote, by those before the escaping."""
    is_own = _is_own(header)
    return {read_lossless(name) if is_own else name: name for name in header}


def _is_own(header: Sequence[str]) -> bool:
    r"""Whether :func:`write_predictions` wrote a file: its columns are exactly those, spelled and ordered as there.

    Other people's names are never taken for escaped ones: ``dir\x01.png`` may be an image of theirs.
    """
    names = [read_lossless(name) for name in header]
    labels = [name.removeprefix(_RAW) for name in names if name.startswith(_RAW)]
    return bool(labels) and any(
        list(header) == [lossless_cell(name) for name in _column_names(labels, prefixes)]
        for prefixes in ((_RAW, _TARGET), (_RAW, _CALIBRATED, _TARGET))
    )


def _column_names(labels: Sequence[str], prefixes: Sequence[str]) -> list[str]:
    """Names of the columns, in their order, before they are escaped."""
    return [IMAGE_COLUMN, PATIENT_COLUMN, *(prefix + label for prefix in prefixes for label in labels)]


def _labels_of(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in MANIFEST_COLUMNS]


def _nearest(name: str, index: NameIndex) -> str:
    """What an unknown name may mean, in brackets: several images, or the one with the nearest name."""
    if several := index.fitting(name):
        shown = " and ".join(f"'{shorten(path)}'" for path in several[:2])
        return f" ('{shorten(name)}' may be {shown}: write it with its folder and ending)"
    nearest = index.nearest(name)
    return f" (the nearest name is '{shorten(nearest)}')" if nearest else ""


def _refuse_duplicates(names: pd.Series, path: Path) -> None:
    duplicated = names[names.duplicated()].unique()
    if len(duplicated):
        raise ValueError(
            f"Expected every image once in '{path}' but {len(duplicated)} are duplicated: {preview(duplicated)}. "
            "Keep one row for each."
        )


def _probabilities(raw: pd.DataFrame, columns: Sequence[str], labels: Sequence[str], path: Path) -> FloatArray:
    values = np.stack([_numbers(raw[column], path) for column in columns], axis=1)
    check_probabilities(values, labels, f"'{path}'")
    return values


def _numbers(cells: pd.Series, path: Path) -> FloatArray:
    def number(text: str) -> float:
        try:
            return float(text.replace(",", ".")) if text else math.nan
        except ValueError:
            raise ValueError(
                f"Expected numbers in column '{cells.name}' of '{path}' but got {text!r}. Correct the cell."
            ) from None

    return np.array([number(text) for text in cells], dtype=np.float64)


def _targets(cells: pd.Series, path: Path) -> FloatArray:
    wrong = [text for text in cells if text not in _TARGET_VALUES]
    if wrong:
        raise ValueError(
            f"Expected 1, 0 or nothing in column '{cells.name}' of '{path}' but got {wrong[0]!r}. Correct the cell."
        )
    return np.array([_TARGET_VALUES[text] for text in cells], dtype=np.float64)


def _texts(cells: pd.Series) -> NDArray[np.object_]:
    texts: NDArray[np.object_] = cells.to_numpy(dtype=object)
    return texts
