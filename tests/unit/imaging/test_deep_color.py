"""Color and gray with alpha of 16 bits a channel, from files that are written here by hand: scaled like gray."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.imaging.bit_depth import unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.deep_color import check_jpeg_2000
from cxr_lightning.imaging.plain_files import is_plain
from cxr_lightning.imaging.reader import decode_image
from cxr_lightning.phantom.reference_image import reference_image

Deep = NDArray[np.uint16]
GRAY: Deep = (np.add.outer(np.arange(40) * 60, np.arange(30) * 55)).astype(np.uint16)
"""Values of 12 bits, up to 3,935."""
PNG_COLOR_TYPES = {2: 4, 3: 2, 4: 6}
"""Color type by the number of channels."""


def channels_of(gray: Deep, count: int) -> Deep:
    """The same gray in every channel, and an alpha channel that is transparent in part, if the number is even."""
    alpha = np.linspace(0, 65535, gray.size).reshape(gray.shape).astype(np.uint16)
    colors = [gray] * (count - (count % 2 == 0))
    return np.stack([*colors, alpha][:count], axis=-1)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(values: Deep, filter_type: int = 0) -> bytes:
    """A PNG of 16 bits: no filter, or ``Sub``, which takes differences of whole pixels."""
    height, width, count = values.shape
    rows = np.frombuffer(values.astype(">u2").tobytes(), np.uint8).reshape(height, -1).astype(int)
    if filter_type == 1:
        rows[:, 2 * count :] -= rows[:, : -2 * count].copy()
    lines = b"".join(bytes([filter_type]) + (row % 256).astype(np.uint8).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOR_TYPES[count], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def interlaced_png(values: Deep) -> bytes:
    height, width, count = values.shape
    lines = b""
    for top, left, down, right in ADAM7:
        lines += b"".join(b"\0" + row.astype(">u2").tobytes() for row in values[top::down, left::right] if row.size)
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOR_TYPES[count], 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tiff(
    values: Deep,
    order: str = "<",
    compression: int = 1,
    predictor: int = 1,
    photometric: int | None = None,
    extra: int = 2,
    rows_per_strip: int = 16,
    planar: int = 1,
) -> bytes:
    """A TIFF of 16 bits in strips: raw (1) or deflated (8), with or without differences of pixels (predictor 2)."""
    height, width, count = values.shape
    strips = []
    for plane in [values] if planar == 1 else [values[..., n : n + 1] for n in range(count)]:
        for top in range(0, height, rows_per_strip):
            strip = plane[top : top + rows_per_strip].astype(np.int64)
            if predictor == 2:
                strip[:, 1:] -= strip[:, :-1].copy()
            raw = (strip % 65536).astype(f"{order}u2").tobytes()
            strips.append(raw if compression == 1 else zlib.compress(raw))
    photometric = photometric if photometric is not None else 2 if count > 2 else 1
    entries: dict[int, tuple[int, list[int]]] = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [16] * count),
        259: (3, [compression]),
        262: (3, [photometric]),
        273: (4, [0] * len(strips)),
        277: (3, [count]),
        278: (3, [rows_per_strip]),
        279: (4, [len(strip) for strip in strips]),
        284: (3, [planar]),
        317: (3, [predictor]),
    }
    if count % 2 == 0 and photometric != 5:
        entries[338] = (3, [extra])
    data_start = 8 + 2 + 12 * len(entries) + 4

    def packed(kind: int, numbers: list[int]) -> bytes:
        return struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)

    far = sum(size for kind, numbers in entries.values() if (size := len(packed(kind, numbers))) > 4)
    position, offsets = data_start + far, []
    for compressed in strips:
        offsets.append(position)
        position += len(compressed)
    entries[273] = (4, offsets)
    directory, tail = b"", b""
    for tag, (kind, numbers) in sorted(entries.items()):
        content = packed(kind, numbers)
        directory += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        if len(content) <= 4:
            directory += content.ljust(4, b"\0")
        else:
            directory += struct.pack(f"{order}I", data_start + len(tail))
            tail += content
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return head + directory + bytes(4) + tail + b"".join(strips)


def decoded(content: bytes) -> DecodedImage:
    assert not is_plain(content)
    return decode_image(content, "x")


EXPECTED = unsigned_to_8_bits(GRAY, 16)
FILES = {
    **{f"PNG, {count} channels": png(channels_of(GRAY, count)) for count in (2, 3, 4)},
    **{f"PNG, {count} channels, filter": png(channels_of(GRAY, count), 1) for count in (2, 3, 4)},
    **{f"PNG, {count} channels, interlaced": interlaced_png(channels_of(GRAY, count)) for count in (2, 3, 4)},
    **{
        f"TIFF, {count} channels, {order}, {compression}, {predictor}": tiff(
            channels_of(GRAY, count), order, compression, predictor
        )
        for count, order, (compression, predictor) in product((2, 3, 4), "<>", ((1, 1), (8, 1), (8, 2)))
    },
    "TIFF, one strip": tiff(channels_of(GRAY, 3), rows_per_strip=40),
    "TIFF, alpha without a meaning": tiff(channels_of(GRAY, 4), extra=0),
    "TIFF, gray, alpha without a meaning": tiff(channels_of(GRAY, 2), extra=0),
    "PPM": b"P6\n# film\n30 40\n65535\n" + channels_of(GRAY, 3).astype(">u2").tobytes(),
}


@pytest.mark.parametrize("name", FILES)
def test_channels_of_16_bits_are_scaled_like_gray(name: str) -> None:
    found = decoded(FILES[name])
    np.testing.assert_array_equal(found.pixels, EXPECTED)
    assert np.ptp(found.pixels) > 240
    assert found.color_fraction == 0


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_every_depth_is_that_of_a_gray_png(bits: int) -> None:
    gray = (np.arange(1200).reshape(40, 30) * ((1 << bits) - 1) / 1199).round().astype(np.uint16)
    file = BytesIO()
    Image.fromarray(gray).save(file, "PNG")
    expected = decode_image(file.getvalue(), "x").pixels
    for content in (png(channels_of(gray, 3)), tiff(channels_of(gray, 3)), png(channels_of(gray, 2))):
        np.testing.assert_array_equal(decoded(content).pixels, expected)


def test_color_becomes_luminance_of_16_bits_and_is_measured() -> None:
    values = np.stack([GRAY, GRAY // 2, GRAY // 4], axis=-1)
    by_hand = (0.299 * GRAY + 0.587 * (GRAY // 2) + 0.114 * (GRAY // 4)).round().astype(np.uint16)
    for content in (png(values), tiff(values), tiff(values, ">", 8, 2)):
        found = decoded(content)
        assert np.abs(found.pixels.astype(int) - unsigned_to_8_bits(by_hand, 16)).max() <= 1  # of rounding at halves
        assert found.color_fraction > 0.7


def test_values_of_all_16_bits_are_as_by_pillow() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 30, 3)).astype(np.uint16)
    with Image.open(BytesIO(png(values))) as image:
        assert np.abs(np.asarray(image.convert("L")).astype(int) - decoded(png(values)).pixels).max() <= 1


def test_a_limit_below_16_bits_in_ppm_is_the_scale() -> None:
    content = b"P6 30 40 4095\n" + channels_of(GRAY, 3).astype(">u2").tobytes()
    assert np.abs(decoded(content).pixels - GRAY / 4095 * 255).max() <= 0.6


def test_white_may_be_zero_and_alpha_may_be_multiplied_already() -> None:
    found = decoded(tiff(channels_of(GRAY, 2), photometric=0)).pixels
    np.testing.assert_array_equal(found, 255 - EXPECTED)
    values = channels_of(GRAY, 4)
    values[..., 3] = 32768
    values[..., :3] //= 2
    assert np.abs(decoded(tiff(values, extra=1)).pixels.astype(int) - EXPECTED).max() <= 1


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_orientations_are_followed(orientation: int) -> None:
    plain = png(channels_of(GRAY, 3))
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    found = decoded(plain[:33] + chunk(b"eXIf", exif) + plain[33:]).pixels
    np.testing.assert_array_equal(found, np.rot90(EXPECTED, {3: 2, 6: -1}[orientation]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(channels_of(GRAY, 3), planar=2), "16-bit channels are in separate planes"),
        (tiff(channels_of(GRAY, 3), compression=8, planar=2), "16-bit channels are in separate planes"),
        (tiff(channels_of(GRAY, 4), photometric=5), "channels of the color mode CMYK have more than 8 bits"),
        (b"P3 2 1 65535\n1 2 3 4 5 6\n", "its numbers are text with more than 8 bits"),
        (png(channels_of(GRAY, 3))[:200], "cut off|cannot be decoded"),
        (tiff(channels_of(GRAY, 3), rows_per_strip=40)[:-500], "cannot be decoded"),
        (b"P6 30 40 65535\n" + bytes(50), "cannot be decoded"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ImageRejectedError, match=reason) as caught:
        decode_image(content, "x")
    assert caught.value.code in ("damaged", "cut_off")


def jpeg_2000(depth: int, channels: int) -> bytes:
    """The beginning of a code stream."""
    size = struct.pack(">HH8IH", 38 + 3 * channels, 0, 16, 16, 0, 0, 16, 16, 0, 0, channels)
    return b"\xff\x4f\xff\x51" + size + bytes([depth - 1, 1, 1]) * channels


def test_deep_colors_of_jpeg_2000_are_refused_if_pillow_makes_them_dark() -> None:
    bright, dark = np.full((9, 9), 200, np.uint8), np.full((9, 9), 15, np.uint8)
    for depth, channels, gray in ((8, 3, dark), (16, 1, dark), (12, 3, bright)):
        check_jpeg_2000(jpeg_2000(depth, channels), gray)
    for depth, channels in ((12, 3), (16, 3), (16, 2)):
        with pytest.raises(ValueError, match="more than 8 bits a color and uses few of them"):
            check_jpeg_2000(jpeg_2000(depth, channels), dark)


def test_a_film_with_12_bit_values_in_16_bit_colors_is_not_dark() -> None:
    film = (reference_image(128, "bilinear").astype(np.uint16) * 16).astype(np.uint16)
    for content in (png(channels_of(film, 3)), tiff(channels_of(film, 3))):
        found = decode_image(content, "x")
        assert 80 < found.pixels.mean() < 150
        assert np.percentile(found.pixels, 99) > 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("compression", ["raw", "tiff_adobe_deflate", "tiff_lzw"])
def test_other_tiffs_are_decoded_as_without_this_module(mode: str, compression: str) -> None:
    depths = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    values = GRAY.astype(depths.get(mode, np.uint8))
    image = Image.fromarray(values) if mode in depths else Image.fromarray(values).convert(mode)
    file = BytesIO()
    image.save(file, "TIFF", compression=compression)
    with Image.open(BytesIO(file.getvalue())) as found:
        assert found.mode == mode
        assert found.tobytes() == image.tobytes()


def test_no_key_of_pillows_own_is_changed() -> None:
    code = (
        "from PIL import TiffImagePlugin as t; before = dict(t.OPEN_INFO); import cxr_lightning.imaging.deep_color; "
        "added = {k: v for k, v in t.OPEN_INFO.items() if before.get(k) != v}; "
        "assert not {*added} & {*before}; assert {k[4] for k in added} <= {(16, 16)}; print(len(added))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(run.stdout) <= 16
