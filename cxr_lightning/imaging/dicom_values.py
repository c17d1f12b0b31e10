"""Values of a DICOM header that cannot be read: optional ones are dropped, required ones name their tags.

No value is quoted: it may be about the patient.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
from cxr_lightning.imaging.dicom_tables import table_entries

if TYPE_CHECKING:
    from pydicom import Dataset

VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_MODALITY_VALUES = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
_INTEREST_VALUES = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
_NUMBERS = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
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


def drop_unreadable(dataset: "Dataset") -> list[QualityFlag]:
    """Delete the optional elements whose values cannot be read.

    Without the modality's table or line, windows and tables of the values of interest mean nothing, and are deleted
    too.

    Args:
        dataset: The file's elements, which are changed.

    Returns:
        At most one flag, which names the tags.
    """
    dropped: list[str | int] = [name for name in _OPTIONAL if name in dataset and not _is_readable(dataset, name)]
    if not dropped:
        return []
    tags = ", ".join(_tag_of(name) for name in dropped)
    if any(name in _MODALITY_VALUES for name in dropped):
        dropped += _INTEREST_VALUES
    for name in dropped:
        dataset.pop(name, None)
    return [QualityFlag("ignored_value", f"what its header says in {tags} cannot be read and was ignored")]


def check_required(dataset: "Dataset", path: Path | str) -> None:
    """Refuse a file that lacks a value without which its pixels cannot be decoded, or has one that cannot be read.

    Args:
        dataset: The file's elements.
        path: Shown in messages.

    Raises:
        ImageRejectedError: If a value is missing or cannot be read; the message names its tag.
    """
    for name in _REQUIRED:
        if name not in dataset:
            reason = f"its DICOM data cannot be decoded: its header has no {_tag_of(name)}"
            raise ImageRejectedError.from_reason(path, reason, "Export it again.")
    for name in (*_REQUIRED, "NumberOfFrames"):
        if name in dataset and not _is_readable(dataset, name):
            reason = f"its DICOM data cannot be decoded: what its header says in {_tag_of(name)} cannot be read"
            raise ImageRejectedError.from_reason(path, reason, "Export it again.")


def _is_readable(dataset: "Dataset", name: str | int) -> bool:
    try:
        value = dataset[name].value
        if name in _NUMBERS:
            return all(_is_number(item) for item in _values(value))
        if name in _REQUIRED:
            return isinstance(value, int)
        if name in (*_SINGLE_NUMBERS, *_OVERLAY_POSITIONS, "NumberOfFrames"):
            return value in (None, "") or isinstance(value, int)
        if name in _TABLES:
            return all(_is_table(item) for item in list(value or ())[:1])
        if name == "VOILUTFunction":
            return str(value or "").strip().upper() in ("", *VOI_FUNCTIONS)
        return not any(isinstance(item, bytes) for item in _values(value))
    except Exception:  # pydicom raises any type
        return False


def _values(value: Any) -> list[Any]:  # noqa: ANN401  # a value, several, or nothing
    return [value] if value is None or isinstance(value, str | bytes | int | float) else list(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401  # of any type
    return value in (None, "") or (isinstance(value, int | float) and math.isfinite(value))


def _is_table(item: "Dataset") -> bool:
    """Whether a table can be applied; one without content counts as absent, and is deleted later."""
    if "LUTDescriptor" not in item or "LUTData" not in item:
        return True
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    usable = count >= 0 and first == item.LUTDescriptor[1] and 0 < bits <= _MAX_TABLE_BITS
    return usable and len(table_entries(item)) > 0


def _tag_of(name: str | int) -> str:
    """Keyword and number of an element."""
    from pydicom.datadict import keyword_for_tag
    from pydicom.tag import Tag

    tag = Tag(name)
    return f"{keyword_for_tag(tag)} ({tag.group:04X},{tag.element:04X})"
