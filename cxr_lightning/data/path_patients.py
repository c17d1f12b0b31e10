"""Patients from the paths of images, by a regular expression of the user's.

Expressions can take exponential time, so they are applied in a process with limited memory and time.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr_lightning.data.metadata_cells import parse_patient
from cxr_lightning.data.table_problems import TableProblems
from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits
from cxr_lightning.utils.plain_text import shorten

_MAX_PATTERN_LETTERS = 500
_PATIENT_FOLDER = re.compile(r"(?i)(?:^|/)((?:patient|pat|subject|subj|sub|case|person|pid|p)[-_ ]?\d+)(?=/)")
"""A folder in a path that looks as if it were a patient's."""
_LIMITS = Limits(memory=4 << 30, seconds=20, answer_bytes=1 << 29)
_find = LimitedFunction(__name__, "handle_paths", _LIMITS)


def check_pattern(pattern: str) -> str:
    r"""Check that a pattern is a regular expression with one group, and return it.

    Args:
        pattern: Such as ``patient(\d+)``.

    Raises:
        ValueError: If it is none.
    """
    shown = f"as `data.source.patient_pattern` but '{shorten(pattern)}'"
    example = """For example: 'data.source.patient_pattern="patient(\\d+)"'"""
    if len(pattern) > _MAX_PATTERN_LETTERS:
        raise ValueError(
            f"Expected at most {_MAX_PATTERN_LETTERS} characters {shown} has {len(pattern):,}. Shorten it."
        )
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"Expected a regular expression {shown} is none ({error}). {example}.") from error
    if groups != 1:
        raise ValueError(
            f"Expected a regular expression with one group, the patient's, {shown} has {groups}. {example}; a group "
            "that is for brackets alone is written (?:...)."
        )
    return pattern


def path_patients(images: pd.Series, pattern: str, path: Path, problems: TableProblems) -> pd.Series:
    """The patient of each image by its path; the image's own name stands in where its path names none.

    Args:
        images: Paths of images; the index is the line's number minus 2.
        pattern: As :func:`check_pattern` takes it.
        path: The label file, for the messages.
        problems: Collects that some paths name no patient, or that the pattern takes too much memory or time.
    """
    patients = images.where(images != "", "unknown")
    with problems.collected("patient_id"):
        found = pd.Series(_find_patients(images.tolist(), pattern), index=images.index, dtype=object)
        patients = found.where(found != "", patients)
        wrong = images[found == ""]
        if len(wrong):
            raise ValueError(
                f"Expected `data.source.patient_pattern` '{shorten(pattern)}' to find a patient in every image's path "
                f"in '{path}' but it finds none in {len(wrong)}, first '{shorten(wrong.iloc[0])}' on line "
                f"{wrong.index[0] + 2}. Correct the pattern or the path."
            )
    return patients


def patient_folder_remarks(table: pd.DataFrame) -> list[str]:
    """That every patient has one image, although several images are in one folder that looks like a patient's.

    Args:
        table: Columns ``image_id``, a path, and ``patient_id``.
    """
    if len(table) < 2 or table["patient_id"].duplicated().any():
        return []
    matches = table["image_id"].map(lambda name: _PATIENT_FOLDER.search(str(name)))
    folders = pd.Series([match[1] for match in matches if match], dtype=object)
    if not folders.duplicated().any():
        return []
    return [
        f"every patient has one image, but {folders.nunique():,} folders such as '{shorten(folders.iloc[0])}' look "
        "like patients and hold several: if they are, set data.source.patient_pattern, or a patient's images come into "
        "two splits"
    ]


def _find_patients(paths: Sequence[str], pattern: str) -> list[str]:
    """What the pattern's group finds in each path, in another process."""
    try:
        answer = _find(json.dumps({"pattern": pattern, "paths": list(paths)}).encode())
    except LimitedCallError as error:
        raise ValueError(
            f"Expected to apply `data.source.patient_pattern` '{shorten(pattern)}' to {len(paths):,} paths but "
            f"{error}. Simplify the expression."
        ) from error
    return [parse_patient(text) for text in json.loads(answer)]


def handle_paths(task: bytes) -> bytes:
    """What a pattern's group finds in each path, empty where it fits nowhere; runs in the other process."""
    request = json.loads(task)
    search = re.compile(request["pattern"]).search
    matches = (search(path) for path in request["paths"])
    return json.dumps([(match[1] or "") if match else "" for match in matches]).encode()
