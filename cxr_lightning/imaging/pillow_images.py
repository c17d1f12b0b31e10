"""Images of Pillow to gray pixels, as the same picture in a file is decoded."""

from PIL import Image, ImageFile, ImageOps

from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError, check_size
from cxr_lightning.imaging.decoder import gray_image, white_is_zero
from cxr_lightning.imaging.deep_color import is_deep_color
from cxr_lightning.imaging.reader import decode_image
from cxr_lightning.imaging.signatures import MAX_IMAGE_BYTES
from cxr_lightning.utils.plain_text import one_line_reason

_REMEDY = "Give the file or its bytes, or an image of the mode L or RGB whose file is open."
_FLOAT = "it has floating-point pixels, which have no fixed range"


def decode_pillow(image: Image.Image, name: str) -> DecodedImage:
    """Decode an image of Pillow, which is left as it is, but loaded.

    The orientation in EXIF data is applied. Of 16-bit colors Pillow loads only 8 bits, so that an image of these, and
    a TIFF or JPEG 2000, is decoded from its file where it is not loaded yet.

    Args:
        image: An image of any color mode but ``F``, opened or made.
        name: Name of the image in messages.

    Raises:
        ImageRejectedError: If it has no pixels, is too large, closed or damaged, or has values that Pillow has dropped.
    """
    try:
        check_size(*image.size, name)
        if not all(image.size):
            raise ImageRejectedError.from_reason(name, "it has no pixels", "Give another image.")
        if image.mode == "F":
            raise ImageRejectedError.from_reason(name, _FLOAT, "Give np.asarray(image), with value_range.")
        if isinstance(image, ImageFile.ImageFile) and _is_decoded_from_file(image):
            return decode_image(_content_of(image, name), name)
        upright = ImageOps.exif_transpose(image)
        return gray_image(upright, inverted=white_is_zero(image))
    except (ImageRejectedError, MemoryError):
        raise
    except Exception as error:  # Pillow raises any type, as AssertionError for a closed file
        reason = f"it cannot be decoded ({one_line_reason(error) or type(error).__name__})"
        raise ImageRejectedError.from_reason(name, reason, _REMEDY) from error


def _is_decoded_from_file(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would drop bits, or read wrongly: a TIFF that is opened by its path and states an orientation."""
    is_unread = bool(image.tile) and not image.tell()
    return is_deep_color(image) or (is_unread and image.format in ("TIFF", "JPEG2000"))


def _content_of(image: ImageFile.ImageFile, name: str) -> bytes:
    """Bytes of the file that an image was opened from, if nothing of it has been loaded."""
    file = image.fp
    if file is None or not image.tile or image.tell():
        reason = "Pillow has dropped bits of its colors"
        raise ImageRejectedError.from_reason(name, reason, "Give the file or its bytes.", code="bits_dropped")
    position = file.tell()
    file.seek(0)
    content = file.read(MAX_IMAGE_BYTES + 1)
    file.seek(position)
    return content
