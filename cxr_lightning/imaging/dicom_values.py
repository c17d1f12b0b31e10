"""Values of a DICOM header that cannot be read or used: optional ones are dropped, required ones name their tags.

No value is quoted: it may be about the patient.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
from cxr_lightning.imaging.dicom_tables import table_entries

if TYPE_CHECKING:
    from pydicom import Dataset

_VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_MODALITY_VALUES = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
_INTEREST_VALUES = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
_WINDOW = ("WindowCenter", "WindowWidth")
_LINE = ("RescaleSlope", "RescaleIntercept")
_NUMBERS = (*_WINDOW, *_LINE)
_SINGLE_NUMBERS = ("PixelPaddingValue", "PixelPaddingRangeLimit", "HighBit")
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_OTHERS = (
    *("PatientOrientation", "ViewPosition", "ViewCodeSequence", "BodyPartExamined", "PresentationIntentType"),
    *("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription"),
)
_OVERLAY_POSITIONS = tuple(0x60000102 + (number << 17) for number in range(16))
_OPTIONAL: tuple[str | int, ...] = (
    *_NUMBERS,
    *_SINGLE_NUMBERS,
    *_TABLES,
    *_OTHERS,
    "VOILUTFunction",
    *_OVERLAY_POSITIONS,
)
_REQUIRED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
_MAX_TABLE_BITS = 16
_MIN_WIDTH = 1e-9
"""Minimum width of a window whose function is not ``LINEAR``."""


class Window(NamedTuple):
    """A window of the values of interest."""

    center: float
    width: float
    number: int
    """Its place in the header, from 1 on."""


def drop_unusable(dataset: "Dataset") -> list[QualityFlag]:
    """Delete the optional elements whose values cannot be read, or make the image constant.

    Without the modality's table or line, windows and tables of the values of interest mean nothing, and are deleted
    too. Windows are looked at one by one, and deleted if :func:`usable_windows` has none.

    Args:
        dataset: The file's elements, which are changed.

    Returns:
        At most one flag, which names the tags.
    """
    unreadable = [name for name in _OPTIONAL if name in dataset and not _is_readable(dataset, name)]
    _pop(dataset, unreadable)
    if any(name in _MODALITY_VALUES for name in unreadable):
        _pop(dataset, _INTEREST_VALUES)
    for name in _TABLES:
        if name in dataset and not any(len(item) for item in dataset[name].value or ()):
            _pop(dataset, [name])  # it states nothing
    unusable = [*_drop_incomplete_tables(dataset), *_drop_line(dataset), *_drop_windows(dataset, unreadable)]
    clauses = [
        f"what its header says in {', '.join(tag_of(name) for name in names)} cannot be {verb} and was ignored"
        for names, verb in ((unreadable, "read"), (unusable, "used"))
        if names
    ]
    return [QualityFlag("ignored_value", "; ".join(clauses))] if clauses else []


def usable_windows(dataset: "Dataset") -> list[Window]:
    """The windows of a header that do not make the image constant."""
    function = dataset.get("VOILUTFunction") or ""
    least = 1 if function in ("", "LINEAR") else _MIN_WIDTH
    pairs = zip(*(_numbers(dataset, name) for name in _WINDOW), strict=False)
    return [
        Window(center, width, number)
        for number, (center, width) in enumerate(pairs, start=1)
        if center is not None and math.isfinite(center) and width is not None and width >= least
    ]


def _drop_windows(dataset: "Dataset", unreadable: list[str | int]) -> list[str]:
    """Delete the windows if none is usable; returns their elements if any window is not."""
    function = str(dataset.get("VOILUTFunction") or "").strip().upper()
    _pop(dataset, ["VOILUTFunction"])
    if function:
        dataset.VOILUTFunction = function
    usable = usable_windows(dataset)
    counts = {name: sum(number is not None for number in _numbers(dataset, name)) for name in _WINDOW}
    if not usable:
        _pop(dataset, _WINDOW)
    if len(usable) == max(counts.values()) or any(name in unreadable for name in _WINDOW):
        return []
    return [name for name, count in counts.items() if count]


def _drop_line(dataset: "Dataset") -> list[str]:
    """Delete the modality's line if it is none; returns its elements if they state anything else than no change."""
    first = {name: next(iter(_numbers(dataset, name)), None) for name in _LINE}
    if first["RescaleSlope"] and first["RescaleIntercept"] is not None:
        for name, value in first.items():
            dataset.add_new(name, "FD", value)
        return []
    _pop(dataset, _LINE)
    return [name for name, same in zip(_LINE, (1, 0), strict=True) if first[name] not in (None, same)]


def _drop_incomplete_tables(dataset: "Dataset") -> list[str]:
    """Delete tables that lack their descriptor or their entries; returns their names."""
    names = [name for name in _TABLES if name in dataset and not _is_complete(dataset[name].value[0])]
    _pop(dataset, names)
    return names


def _pop(dataset: "Dataset", names: Iterable[str | int]) -> None:
    for name in names:
        dataset.pop(name, None)


def _numbers(dataset: "Dataset", name: str) -> list[float | None]:
    """All numbers of an element: None in place of an empty one, NaN of one that cannot be read."""
    if name not in dataset:
        return []
    try:
        values = _values(dataset[name].value)
    except Exception:  # pydicom raises any type if one of several numbers is none
        raw = dataset.get_item(name).value
        values = raw.split(b"\\") if isinstance(raw, bytes) else [raw]
    return [_number(value) for value in values]


def _number(value: Any) -> float | None:  # noqa: ANN401  # of any type
    value = value.strip(b" \0") if isinstance(value, bytes) else value
    if value in (None, "", b""):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def check_required(dataset: "Dataset", path: Path | str) -> None:
    """Refuse a file that lacks a value without which its pixels cannot be decoded, or has one that cannot be read.

    Args:
        dataset: The file's elements.
        path: Shown in messages.

    Raises:
        ImageRejectedError: If a value is missing or cannot be read; the message names its tag.
    """
    for name in (*_REQUIRED, "PhotometricInterpretation"):
        if name not in dataset:
            reason = f"its DICOM data cannot be decoded: its header has no {tag_of(name)}"
            raise ImageRejectedError.from_reason(path, reason, "Export it again.")
    for name in (*_REQUIRED, "NumberOfFrames"):
        if name in dataset and not _is_readable(dataset, name):
            reason = f"its DICOM data cannot be decoded: what its header says in {tag_of(name)} cannot be read"
            raise ImageRejectedError.from_reason(path, reason, "Export it again.")


def _is_readable(dataset: "Dataset", name: str | int) -> bool:
    try:
        if name in _NUMBERS:
            numbers = [number for number in _numbers(dataset, str(name)) if number is not None]
            readable = [number for number in numbers if not math.isnan(number)]
            return bool(readable) if name in _WINDOW and numbers else readable == numbers
        value = dataset[name].value
        if name in _REQUIRED:
            return isinstance(value, int)
        if name in (*_SINGLE_NUMBERS, *_OVERLAY_POSITIONS, "NumberOfFrames"):
            return value in (None, "") or isinstance(value, int)
        if name in _TABLES:
            return all(_is_table(item) for item in list(value or ())[:1])
        if name == "VOILUTFunction":
            return str(value or "").strip().upper() in ("", *_VOI_FUNCTIONS)
        return not any(isinstance(item, bytes) for item in _values(value))
    except Exception:  # pydicom raises any type
        return False


def _values(value: Any) -> list[Any]:  # noqa: ANN401  # a value, several, or nothing
    return [value] if value is None or isinstance(value, str | bytes | int | float) else list(value)


def _is_complete(table: "Dataset") -> bool:
    return "LUTDescriptor" in table and "LUTData" in table


def _is_table(item: "Dataset") -> bool:
    """Whether a table can be applied; one that lacks an element is judged later."""
    if not _is_complete(item):
        return True
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    usable = count >= 0 and first == item.LUTDescriptor[1] and 0 < bits <= _MAX_TABLE_BITS
    return usable and len(table_entries(item)) > 0


def tag_of(name: str | int) -> str:
    """Keyword and number of an element."""
    from pydicom.datadict import keyword_for_tag
    from pydicom.tag import Tag

    tag = Tag(name)
    return f"{keyword_for_tag(tag)} ({tag.group:04X},{tag.element:04X})"
