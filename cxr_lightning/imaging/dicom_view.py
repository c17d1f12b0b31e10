"""How a DICOM image was taken: its view position, and what its header says of its processing."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.imaging.dicom_checks import code_string
from cxr_lightning.imaging.view_positions import LATERAL_VIEW, parse_view_position

if TYPE_CHECKING:
    from pydicom import Dataset

_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
"""Free texts that often state the view, the most exact one first."""


def header_view_position(dataset: "Dataset") -> str:
    """View position by the header: ``PA``, ``AP`` or ``LATERAL``; empty if it states none.

    The view position, the view code and the patient orientation are looked at first: if one of them says that the view
    is lateral, it is. Descriptions count only where none of the three states a view. No text of the header is returned.
    """
    stated = [view for text in _stated_views(dataset) if (view := parse_view_position(text))]
    if LATERAL_VIEW in stated:
        return LATERAL_VIEW
    described = (parse_view_position(code_string(dataset, name)) for name in _DESCRIPTIONS)
    return next(iter(stated), "") or next(filter(None, described), "")


_FOR_PROCESSING = frozenset(f"1.2.840.10008.5.1.4.1.1.{kind}.1" for kind in ("1.1", "1.2", "1.3"))
"""SOP classes of unprocessed radiographs: digital X-ray, mammography and images within the mouth."""


def processing_flags(dataset: "Dataset") -> list[QualityFlag]:
    """The flag of an image that the header states to be unprocessed."""
    stated = re.sub("[^A-Z]+", " ", code_string(dataset, "PresentationIntentType")) == "FOR PROCESSING"
    if not stated and str(dataset.get("SOPClassUID") or "") not in _FOR_PROCESSING:
        return []
    message = "its header says that it is for processing: raw values of the detector, not meant for display"
    return [QualityFlag("for_processing", message)]


def _stated_views(dataset: "Dataset") -> Iterator[str]:
    yield code_string(dataset, "ViewPosition")
    for code in dataset.get("ViewCodeSequence") or ():
        yield code_string(code, "CodeMeaning")
    rows = (*(dataset.get("PatientOrientation") or ()), "")[0]
    # Rows that run to the back or the front of the patient are those of a lateral view.
    yield LATERAL_VIEW if str(rows)[:1] in ("A", "P") else ""
