"""Images with 16 bits for each of several channels, of which Pillow keeps 8: color and gray with alpha.

Pillow's readers take one byte of every value, by the name of the byte order. So an image is read once in its own order,
for the high bytes, and once in the other, for the low ones.

Importing this module changes Pillow for the whole process: ``TiffImagePlugin.OPEN_INFO`` gets the layouts of gray with
alpha of 16 bits each, which Pillow refuses otherwise. Entries of Pillow's own stay, and so do other TIFFs. Elsewhere
in the process such a file opens in mode ``RGBA``, whose channels are the single bytes.
"""

import sys
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, TiffImageFile

from cxr_lightning.imaging.bit_depth import effective_bits, robust_range, unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import DecodedImage, count_colored

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_GRAY_ALPHA = "RGBA"
"""Raw mode by which gray and alpha of 16 bits each are four bytes."""
_PLANES_APART = 2
_STRIP_HEIGHT = 256
_WEIGHTS = (0.299, 0.587, 0.114)
_ORIENTATION = 0x0112
_MIN_JPEG_2000_LEVEL = 64
"""Highest gray level below which colors of more than 8 bits leave at least two of them unused."""

for _order in (TiffImagePlugin.II, TiffImagePlugin.MM):
    for _photometric in (0, 1):
        for _extra in ((), (0,), (1,), (2,)):  # Pillow has no mode for them
            _key = (_order, _photometric, (1,), 1, (16, 16), _extra)
            TiffImagePlugin.OPEN_INFO.setdefault(_key, ("RGBA", _GRAY_ALPHA))


def is_deep_color(image: ImageFile.ImageFile) -> bool:
    """Whether an image that was opened has 16 bits for each of several channels."""
    if isinstance(image, TiffImageFile):
        depths = image.tag_v2.get(BITSPERSAMPLE, (1,))
        return image.mode not in ("I;16", "I;16B", "I", "F") and len(depths) > 1 and max(depths) > 8
    if image.format == "PPM":
        return image.mode == "RGB" and _ppm_limit(image) > 255
    return image.format == "PNG" and ";16" in _raw_mode(image) and image.mode != "I;16"


def decode_deep_color(content: bytes, image: ImageFile.ImageFile) -> DecodedImage:
    """Decode an image of :func:`is_deep_color`: its luminance is computed of 16 bits, and scaled like gray.

    Args:
        content: The file's bytes.
        image: The image that was opened from them, of a size that was checked.

    Raises:
        ValueError: If its channels cannot be read exactly.
    """
    return _decode_strips(_PpmColors(content, image) if image.format == "PPM" else _StoredColors(content, image))


def decode_deep_array(values: NDArray[np.uint16]) -> DecodedImage:
    """Decode 16-bit colors in memory as :func:`decode_deep_color` does those of a file.

    Args:
        values: ``(H, W, 3)``, or ``(H, W, 4)`` with alpha, which is dropped.
    """
    return _decode_strips(_ArrayColors(values))


def _decode_strips(strips: "_StoredColors | _ArrayColors") -> DecodedImage:
    luminance = np.empty(strips.shape, np.uint16)
    for top in range(0, len(luminance), _STRIP_HEIGHT):
        luminance[top : top + _STRIP_HEIGHT] = strips.luminance(top)
    gray = unsigned_to_8_bits(luminance, 16)
    bits = effective_bits(robust_range(luminance)[1], 16)
    colored = sum(count_colored(_to_bytes(strips.colors(top), bits)) for top in range(0, len(gray), _STRIP_HEIGHT))
    gray = 255 - gray if strips.white_is_zero else gray
    return DecodedImage(_to_upright(gray, strips.orientation), colored / max(1, gray.size))


def check_jpeg_2000(content: bytes, gray: NDArray[np.uint8]) -> None:
    """Refuse colors of more than 8 bits in JPEG 2000 of which Pillow has dropped bits that are used.

    Args:
        content: The file's bytes.
        gray: Its pixels by Pillow, ``(H, W)``.

    Raises:
        ValueError: If they would be nearly black.
    """
    start = content.find(b"\xff\x4f\xff\x51")
    channels, depth = int.from_bytes(content[start + 40 : start + 42]), content[start + 42 : start + 43]
    if start < 0 or channels < 2 or not depth or (depth[0] & 0x7F) < 8:
        return
    if robust_range(gray)[1] < _MIN_JPEG_2000_LEVEL:
        raise ValueError("it has more than 8 bits a color and uses few of them: save it as PNG or gray")


def _to_bytes(colors: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    limit = (1 << bits) - 1
    scaled: NDArray[np.uint8] = (colors.astype(np.uint32).clip(0, limit) * 255 // limit).astype(np.uint8)
    return scaled


def _to_upright(gray: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotate by the orientation in EXIF data."""
    if orientation == 1:
        return gray
    image = Image.fromarray(gray)
    image.getexif()[_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def _raw_mode(image: ImageFile.ImageFile) -> str:
    arguments = image.tile[0].args if image.tile else ""
    found = arguments[0] if isinstance(arguments, tuple) else arguments
    return str(found or "")


class _StoredColors:
    """The channels of a PNG or TIFF, by strips."""

    def __init__(self, content: bytes, image: ImageFile.ImageFile) -> None:
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
        raw_mode = _raw_mode(image)
        if tags.get(PLANAR_CONFIGURATION) == _PLANES_APART:
            raise ValueError("its 16-bit channels are in separate planes: save it with those of a pixel together")
        deep = {*tags.get(BITSPERSAMPLE, (16,))} == {16}
        if not deep or image.mode not in ("RGB", "RGBA"):
            raise ValueError(
                f"its channels of the color mode {image.mode} have more than 8 bits: save it as gray or RGB"
            )
        self.white_is_zero = tags.get(PHOTOMETRIC_INTERPRETATION) == 0
        self.premultiplied = raw_mode.startswith("RGBa")
        self.gray = raw_mode.startswith("LA") or ";16" not in raw_mode
        if self.gray:
            big_endian = image.format == "PNG" or (content.startswith(b"MM") and image.tile[0].codec_name == "raw")
            self._weight = (256, 1) if big_endian else (1, 256)
            self._images = [_loaded(content, image, _GRAY_ALPHA)]
        else:
            base, order = raw_mode.replace("RGBa", "RGBA")[:-1], raw_mode[-1]
            self._images = [_loaded(content, image, base + letter) for letter in (order, _OTHER_ORDER[order])]
        loaded = self._images[0]
        self.shape = loaded.size[::-1]
        self.orientation = 1 if tags else int(loaded.getexif().get(_ORIENTATION, 1))  # of TIFF done by Pillow

    def luminance(self, top: int) -> NDArray[np.uint16]:
        """Luminance of a strip, rounded."""
        colors = self.channels(top)
        found = colors[..., :3].astype(np.float64) @ _WEIGHTS
        if self.premultiplied:
            found = (found * 65535 / np.maximum(1, colors[..., 3])).clip(0, 65535)
        return found.round().astype(np.uint16)

    def colors(self, top: int) -> NDArray[np.uint16]:
        """Red, green and blue of a strip."""
        return self.channels(top)[..., :3]

    def channels(self, top: int) -> NDArray[np.uint16]:
        """Channels of a strip, ``(h, W, C)``."""
        height, width = self.shape
        box = (0, top, width, min(top + _STRIP_HEIGHT, height))
        bytes_ = [np.asarray(image.crop(box)).astype(np.uint16) for image in self._images]
        if self.gray:
            gray = self._weight[0] * bytes_[0][..., 0] + self._weight[1] * bytes_[0][..., 1]
            return np.stack([gray] * 3, axis=-1).astype(np.uint16)
        return (bytes_[0] << 8 | bytes_[1]).astype(np.uint16)


class _ArrayColors:
    """The channels of an array ``(H, W, C)``, by strips."""

    white_is_zero, orientation = False, 1

    def __init__(self, values: NDArray[np.uint16]) -> None:
        self.shape, self._values = values.shape[:2], values

    def luminance(self, top: int) -> NDArray[np.uint16]:
        """Luminance of a strip, rounded."""
        return (self.colors(top).astype(np.float64) @ _WEIGHTS).round().astype(np.uint16)

    def colors(self, top: int) -> NDArray[np.uint16]:
        """Red, green and blue of a strip."""
        return self._values[top : top + _STRIP_HEIGHT, :, :3].astype(np.uint16)


class _PpmColors(_ArrayColors):
    """The channels of a binary PPM, by strips."""

    def __init__(self, content: bytes, image: ImageFile.ImageFile) -> None:
        width, height = image.size
        if not content.startswith(b"P6"):
            raise ValueError("its numbers are text with more than 8 bits: save it as PNG")
        values = np.frombuffer(content, ">u2", width * height * 3, image.tile[0].offset)
        super().__init__(values.reshape(height, width, 3))
        self._limit = _ppm_limit(image)

    def colors(self, top: int) -> NDArray[np.uint16]:
        """Red, green and blue of a strip, scaled from the file's limit to 16 bits."""
        values = super().colors(top).astype(np.uint32)
        return ((values * 65535 + self._limit // 2) // self._limit).clip(0, 65535).astype(np.uint16)


def _ppm_limit(image: ImageFile.ImageFile) -> int:
    arguments = image.tile[0].args if image.tile else ()
    return int(arguments[-1]) if isinstance(arguments, tuple) and isinstance(arguments[-1], int) else 255


def _loaded(content: bytes, image: ImageFile.ImageFile, raw_mode: str) -> ImageFile.ImageFile:
    """The image, loaded with another raw mode."""
    again = Image.open(BytesIO(content), formats=[str(image.format)])
    again.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in again.tile
    ]
    again.load()
    return again
