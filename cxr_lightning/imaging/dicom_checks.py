"""Which DICOM files are refused by their header: other modalities, body parts, several frames, too large, no decoder.

Messages name tags and never quote their values, except for a few that are codes of the standard: other values may be
about the patient.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_lightning.imaging.decoded_image import ImageRejectedError, check_size
from cxr_lightning.imaging.dicom_signature import dicom_kind_of, is_image_class
from cxr_lightning.imaging.dicom_values import check_required

if TYPE_CHECKING:
    from pydicom import Dataset

_RADIOGRAPH_MODALITIES = frozenset({"", "CR", "DX", "RG", "DR", "OT", "SC"})
"""Modalities that a radiograph may have; the last three are not the standard's for it but occur in practice."""
_QUOTED_MODALITIES = frozenset(
    {"CT", "MR", "MG", "US", "NM", "PT", "XA", "RF", "IO", "PX", "ES", "SR", "ECG", "OP", "PR"}
)
"""Other modalities that messages may quote; any other text in this element may be about the patient."""
_CHEST_PARTS = ("CHEST", "THORAX", "TORAX", "LUNG", "RIB")
_OTHER_BODY_PARTS = frozenset(
    {
        *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "COCCYX", "CSPINE", "ELBOW"),
        *("EXTREMITY", "FEET", "FEMUR", "FIBULA", "FINGER", "FOOT", "FOREARM", "HAND", "HANDS", "HEAD", "HEEL", "HIP"),
        *("HIPS", "HUMERUS", "JAW", "KNEE", "KNEES", "LEG", "LSPINE", "LUMBAR", "MANDIBLE", "MAXILLA", "NECK"),
        *("PATELLA", "PELVIS", "RADIUS", "SACRUM", "SCAPULA", "SHOULDER", "SKULL", "SPINE", "SSPINE", "THIGH"),
        *("THUMB", "TIBIA", "TOE", "TSPINE", "ULNA", "WRIST", "ZYGOMA"),
    }
)
"""Body parts that are refused, and that messages may quote. A part that is in neither list is not refused."""
_JPEG_12_BITS = "1.2.840.10008.1.2.4.51"
_GPL_DECODED = {
    _JPEG_12_BITS: "JPEG of 12 bits",
    "1.2.840.10008.1.2.4.57": "lossless JPEG",
    "1.2.840.10008.1.2.4.70": "lossless JPEG",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
}
"""Transfer syntaxes whose decoder is under the GPL, and so in an extra of its own, by UID."""


def check_chest_radiograph(dataset: "Dataset", path: Path | str, force: bool) -> None:
    """Refuse a file that is not a single chest radiograph, or is too large, before its pixels are decoded.

    Args:
        dataset: The file's elements.
        path: Shown in messages.
        force: Accept other modalities, other body parts and several frames.

    Raises:
        ImageRejectedError: If the file is refused.
    """
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        sop_class = code_string(dataset, "SOPClassUID") or code_string(dataset.file_meta, "MediaStorageSOPClassUID")
        kind = dicom_kind_of(sop_class, code_string(dataset, "Modality"))
        reason, remedy = "its DICOM data has no pixels", "Export the image itself."
        if kind:
            reason = f"{reason}: it is a {kind}"
        elif is_image_class(sop_class):
            reason, remedy = f"{reason}: it may be cut off", "Get it again."
        raise ImageRejectedError.from_reason(path, reason, remedy, code="no_pixels")
    check_required(dataset, path)
    frames = int(dataset.get("NumberOfFrames") or 1)
    check_size(int(dataset.Columns), int(dataset.Rows), path)
    if force:
        return
    modality = code_string(dataset, "Modality")
    parts = set(re.findall("[A-Z]+", code_string(dataset, "BodyPartExamined")))
    if modality not in _RADIOGRAPH_MODALITIES:
        quoted = f" (Modality {modality})" if modality in _QUOTED_MODALITIES else " (by its Modality, (0008,0060))"
        reason = f"its header says that it is no radiograph{quoted}"
    elif frames > 1:
        reason = f"its header says that it has {frames:,} frames, not one"
    elif (others := parts & _OTHER_BODY_PARTS) and not any(name in part for part in parts for name in _CHEST_PARTS):
        reason = f"its header says that it shows another part of the body (BodyPartExamined {' '.join(sorted(others))})"
    else:
        return
    remedy = (
        "Give chest radiographs; if the header is wrong, set --force, or data.force=true of train.py and evaluate.py."
    )
    raise ImageRejectedError.from_reason(path, reason, remedy, code="not_a_chest_radiograph")


def check_decoder(dataset: "Dataset", path: Path | str) -> None:
    """Refuse a file whose decoder is in an extra that is not installed.

    Any of the decoders that pydicom knows will do.

    Args:
        dataset: The file's elements, with a transfer syntax.
        path: Shown in messages.

    Raises:
        ImageRejectedError: If none is installed.
    """
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in _GPL_DECODED:
        return
    # Pillow offers itself for JPEG of 12 bits but reads 8 alone.
    unable = {"pillow"} if syntax == _JPEG_12_BITS and dataset.BitsStored != 8 else set()
    if set(get_decoder(syntax).available_plugins) - unable:
        return
    reason = f"it is {_GPL_DECODED[syntax]} in DICOM, whose decoder pylibjpeg-libjpeg (GPL) is not installed"
    remedy = "Install the extra: uv sync --extra dicom-gpl. Or export the image uncompressed or as JPEG 2000."
    raise ImageRejectedError.from_reason(path, reason, remedy, code="dicom_support", permanent=False)


def code_string(dataset: "Dataset", name: str) -> str:
    """An element's text in capitals without surrounding blanks; empty if the element is absent or empty."""
    return str(dataset.get(name) or "").strip().upper()
