"""Images from wherever a caller has them: a path, bytes, a file object, an array, or an image of a library."""

import os
from collections.abc import Sequence
from io import TextIOBase, UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from PIL import Image

from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.dicom_datasets import dataset_content, is_dataset
from cxr_lightning.imaging.pillow_images import decode_pillow
from cxr_lightning.imaging.pixel_arrays import SupportsArray, decode_array, to_array
from cxr_lightning.imaging.reader import decode_image, memory_rejection, read_image
from cxr_lightning.imaging.signatures import MAX_IMAGE_BYTES
from cxr_lightning.utils.plain_text import one_line_reason, shorten

_PART_BYTES = 1 << 20
"""Number of bytes that are read at a time."""
_KINDS = "a path, bytes, a binary file object, an array, an image of Pillow or a dataset of pydicom"


class BinaryReader(Protocol):
    """An object from which bytes are read, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Read at most a number of bytes."""


if TYPE_CHECKING:
    from pydicom import Dataset

    ImageSource = (
        str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryReader | SupportsArray | Image.Image | Dataset
    )


def to_path(source: "str | os.PathLike[str]") -> Path:
    """A path from what a caller gives as one.

    Raises:
        ValueError: If it holds the character NUL, which no path does.
    """
    text = os.fsdecode(source)
    if "\0" in text:
        raise ValueError(f"Expected a path but got {shorten(text)!r}, with the character NUL. Correct it.")
    return Path(text)


def is_array(source: object) -> bool:
    """Whether a source is an array, of NumPy or of another library."""
    others = (str, bytes, os.PathLike, Image.Image)  # NumPy's texts are arrays by their attributes
    return hasattr(type(source), "__array__") and not isinstance(source, others) and not is_dataset(source)


def is_source(source: object) -> bool:
    """Whether an object is one image of any kind, rather than several or something else."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    return isinstance(source, kinds) or is_array(source) or is_dataset(source) or hasattr(source, "read")


def check_source(source: object, name: str) -> None:
    """Refuse what is no image by its type, shape or dtype; nothing is decoded.

    Args:
        source: What a caller gives as one image.
        name: Name of the image in messages.

    Raises:
        ValueError: If it is something else.
    """
    if not is_source(source):
        nested = " Give a flat list." if isinstance(source, list | tuple) else ""
        raise ValueError(f"Expected {_KINDS} as '{name}' but got {type(source).__name__}.{nested}")
    if is_array(source):
        to_array(cast("SupportsArray", source), name)


def decode_source(
    source: "ImageSource", name: str, *, value_range: Sequence[float] | None = None, force: bool = False
) -> DecodedImage:
    """Decode an image of any kind: the same picture has the same pixels and flags in each of them.

    Args:
        source: A path; a file's bytes; a file object, read from its position on; an array
            (:func:`~cxr_lightning.imaging.pixel_arrays.decode_array`); an image of Pillow
            (:func:`~cxr_lightning.imaging.pillow_images.decode_pillow`); or a dataset of pydicom.
        name: Name of the image in messages; of a path its own is used.
        value_range: Values of black and white in an array of floating-point numbers.
        force: Decode DICOM although its header states that it is no chest radiograph.

    Raises:
        ValueError: If the type, the shape, the dtype or the range is not as expected.
        ImageRejectedError: If it is no usable image.
    """
    check_source(source, name)
    if value_range is not None and not is_array(source):
        raise ValueError(
            f"Expected no value_range for '{name}', which is no array but {type(source).__name__}, but got "
            f"{value_range!r}. Leave it out: the image states its own."
        )
    try:
        if is_array(source):
            return decode_array(cast("SupportsArray", source), name, value_range)
        if isinstance(source, Image.Image):
            return decode_pillow(source, name)
        if isinstance(source, str | os.PathLike):
            return read_image(to_path(source), force=force)
        return decode_image(_content_of(source, name), name, force=force)
    except MemoryError as error:
        raise memory_rejection(name) from error


def _content_of(source: object, name: str) -> bytes:
    """The bytes of a file: of the source itself, what a file object gives, or a dataset's."""
    if is_dataset(source):
        return dataset_content(cast("Dataset", source), name)
    if not isinstance(source, bytes | bytearray | memoryview):
        return _read_stream(cast("BinaryReader", source), name)
    size = source.nbytes if isinstance(source, memoryview) else len(source)
    if size > MAX_IMAGE_BYTES:
        raise _too_large(name)
    return bytes(source)


def _read_stream(stream: BinaryReader, name: str) -> bytes:
    """What is left in a file object."""
    content = bytearray()
    while part := _read_part(stream, name):
        content += part
        if len(content) > MAX_IMAGE_BYTES:
            raise _too_large(name)
    if not content:
        remedy = "Rewind a file that was read: file.seek(0)."
        raise ImageRejectedError.from_reason(name, "nothing is left to read in the file", remedy, code="empty")
    return bytes(content)


def _read_part(stream: BinaryReader, name: str) -> bytes:
    try:
        part = None if isinstance(stream, TextIOBase) else stream.read(_PART_BYTES)
    except UnsupportedOperation as error:
        raise ValueError(f"Expected a file to read as '{name}' but it is not. Open it: open(path, 'rb').") from error
    except OSError as error:
        raise ImageRejectedError.from_os_error(name, error) from error
    except Exception as error:  # of the caller's class; ValueError for a closed file
        reason = one_line_reason(error) or type(error).__name__
        raise ValueError(
            f"Expected an open file as '{name}' but it cannot be read ({reason}). Open it again."
        ) from error
    if not isinstance(part, bytes | bytearray | memoryview):
        got = "a text file" if isinstance(stream, TextIOBase) else type(part).__name__
        raise ValueError(
            f"Expected bytes from the file object '{name}' but got {got}. Open it in binary mode: open(path, 'rb')."
        )
    return bytes(part)


def _too_large(name: str) -> ImageRejectedError:
    return ImageRejectedError.from_reason(name, f"it has more than {MAX_IMAGE_BYTES:,} bytes", code="too_large")
