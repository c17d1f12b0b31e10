"""Datasets of pydicom to the bytes of their files, which are decoded like any other file's."""

from copy import deepcopy
from io import BytesIO
from typing import TYPE_CHECKING

from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.dicom import silence_dicom_packages
from cxr_lightning.imaging.dicom_signature import PREAMBLE_BYTES

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_CLASS = "pydicom.dataset.Dataset"
_FILE_GROUPS = (0x0000, 0x0002)
"""Groups of messages and of a file's meta data, which a dataset may not have itself."""
_FIRST_ITEM = b"\xfe\xff\x00\xe0"
"""What compressed pixel data begin with."""


def is_dataset(source: object) -> bool:
    """Whether an object is a dataset of pydicom, which is not imported for that."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == _CLASS for kind in type(source).__mro__)


def dataset_content(dataset: "Dataset", name: str) -> bytes:
    """The bytes of a DICOM file with a dataset's elements; the dataset is left as it is.

    A transfer syntax that is missing, as in a message of the network, is that of the dataset's encoding.

    Args:
        dataset: A dataset, with or without a file's meta data.
        name: Name of the image in messages.

    Raises:
        ImageRejectedError: If it cannot be written.
    """
    silence_dicom_packages()
    if not len(dataset):
        reason = "the DICOM dataset has no elements"
        raise ImageRejectedError.from_reason(name, reason, "Give one of an image.", code="no_pixels")
    try:
        return _write(dataset, name)
    except (ImageRejectedError, MemoryError):
        raise
    except Exception as error:  # pydicom raises any type, with texts that may quote the values
        reason = f"its DICOM elements cannot be written ({type(error).__name__})"
        rejection = ImageRejectedError.from_reason(name, reason, "Give the file instead, or correct the elements.")
    raise rejection from None


def _write(dataset: "Dataset", name: str) -> bytes:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import dcmwrite

    copied = deepcopy(dataset)  # pydicom changes elements while it writes; bytes are not copied
    for tag in [tag for tag in copied.keys() if tag.group in _FILE_GROUPS]:  # noqa: SIM118  # iterating parses all
        del copied[tag]
    meta = getattr(copied, "file_meta", None) or FileMetaDataset()
    if "TransferSyntaxUID" not in meta:
        meta.TransferSyntaxUID = _transfer_syntax(copied, name)
    copied.file_meta, copied.preamble = meta, bytes(PREAMBLE_BYTES)
    file = BytesIO()
    dcmwrite(file, copied)
    return file.getvalue()


def _transfer_syntax(dataset: "Dataset", name: str) -> "UID":
    """The transfer syntax by which a dataset without one was read, or the usual one if it was made in memory."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    pixels = dataset.get("PixelData")
    if isinstance(pixels, bytes) and pixels.startswith(_FIRST_ITEM):
        reason = "its DICOM pixels are compressed and its transfer syntax is missing"
        remedy = "Set dataset.file_meta.TransferSyntaxUID; a message of the network states it beside the dataset."
        raise ImageRejectedError.from_reason(name, reason, remedy, code="no_transfer_syntax")
    implicit, little_endian = dataset.original_encoding
    if little_endian is False:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
