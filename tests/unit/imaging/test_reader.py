"""Every pixel format decodes to the right gray, and every unusable file is named with its reason."""

import os
import pickle
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import (
    Interpolation,
    RejectedImagesError,
    decode_image,
    read_gray,
    read_image,
    resize,
)
from cxr_lightning.imaging.signatures import MAX_IMAGE_BYTES, find_unreadable
from cxr_lightning.utils.validation import check_choice

GRAY = np.arange(256, dtype=np.uint8).reshape(16, 16)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 408711\n"
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + b"\x00" * 60
PAGE = b"\n<!DOCTYPE html><html><body>Sign in to download</body></html>"


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


PNG = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)))
JPEG = encode(Image.fromarray(GRAY), "JPEG")
UNREADABLE = {
    "empty.png": (b"", "the file is empty"),
    "pointer.png": (POINTER, f"a Git-LFS pointer of {len(POINTER)} bytes"),
    "._stub.png": (APPLE_DOUBLE, r"a macOS '\._' stub"),
    "page.png": (PAGE, "a web page"),
    "text.png": (b"Image Index,Finding Labels\n", "in no image format that is read here"),
    "noise.png": (bytes(range(255, 0, -1)), "in no image format that is read here"),
    # Pillow would hand it to Ghostscript.
    "postscript.png": (encode(Image.fromarray(GRAY), "EPS"), "in no image format that is read here"),
    "half.png": (PNG[: len(PNG) // 2], "cut off|cannot be decoded"),
    "signature.png": (PNG[:8], "cut off|cannot be decoded"),
    "header.png": (PNG[:40], "cut off|cannot be decoded"),
}


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(folder: Path, content: bytes) -> NDArray[np.uint8]:
    return read_gray(write(folder, "image", content))


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA"])
def test_gray_survives_every_color_mode(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(GRAY).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(GRAY[::-1]))  # transparency must not darken
    pixels = read(tmp_path, encode(image))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, GRAY)


def test_a_palette_is_looked_up() -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], dtype=np.uint8), "L").convert("P")
    image.putpalette([9, 9, 9, 200, 200, 200, 30, 30, 30, 255, 255, 255])
    np.testing.assert_array_equal(decode_image(encode(image), "palette.png").pixels, [[9, 200], [30, 255]])


def test_color_becomes_luminance(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 2), (200, 100, 50))
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B = 124.2
    np.testing.assert_array_equal(read(tmp_path, encode(image)), np.full((2, 2), 124))


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[True, False], [False, True]]))
    np.testing.assert_array_equal(read(tmp_path, encode(image)), [[255, 0], [0, 255]])


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, file_format: str) -> None:
    wide = GRAY.astype(np.uint16) * 257
    np.testing.assert_array_equal(read(tmp_path, encode(Image.fromarray(wide), file_format)), GRAY)
    rounded = np.array([[0, 128, 129, 65535]], dtype=np.uint16)  # 128 / 257 = 0.498, 129 / 257 = 0.502
    np.testing.assert_array_equal(read(tmp_path, encode(Image.fromarray(rounded), file_format)), [[0, 0, 1, 255]])


def test_jpeg_is_read_within_its_own_loss(tmp_path: Path) -> None:
    pixels = read(tmp_path, encode(Image.fromarray(GRAY), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - GRAY).max() <= 8  # quality 95 on a ramp


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageRejectedError, match="floating-point pixels have no fixed range"):
        read(tmp_path, encode(Image.new("F", (4, 4)), "TIFF"))


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_file_is_rejected_with_name_and_reason(tmp_path: Path, name: str) -> None:
    content, reason = UNREADABLE[name]
    path = write(tmp_path, name, content)
    with pytest.raises(ImageRejectedError, match=reason) as caught:
        read_gray(path)
    assert f"Expected an image in '{path}' but" in str(caught.value)
    assert caught.value.path == str(path)
    assert "0x" not in str(caught.value)  # no object's address


@pytest.mark.parametrize("kept", range(0, len(PNG) - 20, 23))
def test_a_png_cut_anywhere_is_rejected_when_read_and_when_inspected(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, "cut.png", PNG[:kept])
    with pytest.raises(ImageRejectedError, match=r"cut\.png"):
        read_gray(path)
    assert [rejection.path for rejection in find_unreadable([path])] == [str(path)]


def test_a_png_that_only_lacks_its_end_mark_is_found_by_inspection(tmp_path: Path) -> None:
    assert "cut off" in str(find_unreadable([write(tmp_path, "end.png", PNG[:-6])])[0])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_claim_of_many_pixels_is_refused_before_decoding(tmp_path: Path) -> None:
    def claim(width: int, height: int) -> bytes:
        chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        return PNG[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + PNG[33:]

    for side in (9_000, 10_000):  # over our limit; and where Pillow warns
        with pytest.raises(ImageRejectedError, match=f"{side}x{side} pixels, more than 80,000,000"):
            read(tmp_path, claim(side, side))
    with pytest.raises(ImageRejectedError, match=r"1x79999999 pixels, a side of more than 65,535"):
        read(tmp_path, claim(1, 79_999_999))  # Pillow keeps pointers of each row
    with pytest.raises(ImageRejectedError, match=r"too large: more than 80,000,000 pixels\."):
        read(tmp_path, claim(50_000, 50_000))


def test_a_missing_file_is_no_rejection(tmp_path: Path) -> None:
    with pytest.raises(ImageRejectedError, match=r"absent\.png' but it cannot be read \(No such file.*Check"):
        read_gray(tmp_path / "absent.png")


def test_find_unreadable_names_exactly_the_unreadable_files_in_order(tmp_path: Path) -> None:
    good = {
        "good.png": PNG,
        "good.jpg": JPEG,
        "good.tif": encode(Image.fromarray(GRAY), "TIFF"),
        "good.bmp": encode(Image.fromarray(GRAY), "BMP"),
    }
    files = {**good, **{name: content for name, (content, _) in UNREADABLE.items()}}
    paths = [write(tmp_path, name, content) for name, content in sorted(files.items())]
    unreadable = find_unreadable(paths)
    assert [rejection.path for rejection in unreadable] == [str(tmp_path / name) for name in sorted(UNREADABLE)]
    assert all(rejection.reason for rejection in unreadable)
    assert find_unreadable([]) == []


def test_an_error_about_many_images_counts_names_the_first_five_and_says_what_to_do() -> None:
    rejections = [ImageRejectedError.from_reason(f"{number}.png", "the file is empty") for number in range(7)]
    text = str(RejectedImagesError(rejections, 200, Path("rejected.csv")))
    assert text.startswith("7 of 200 images cannot be read: '0.png': the file is empty; '1.png'")
    assert "'4.png'" in text
    assert "'5.png'" not in text
    assert "; and more. All are listed in 'rejected.csv'. Replace them, or set 'data.on_bad_image=skip'" in text
    assert "and more" not in str(RejectedImagesError(rejections[:5], 200))
    one = "Expected an image in '0.png' but the file is empty. Replace the file, or set 'data.on_bad_image=skip'"
    assert str(RejectedImagesError(rejections[:1], 200)).startswith(one)


def test_a_rejection_survives_pickling() -> None:
    rejection = pickle.loads(
        pickle.dumps(ImageRejectedError.from_reason("a.png", "the file is empty"))
    )  # our own bytes
    assert isinstance(rejection, ImageRejectedError)
    assert str(rejection) == "Expected an image in 'a.png' but the file is empty. Replace the file."
    assert (rejection.path, rejection.reason) == ("a.png", "the file is empty")


class Files(Dataset[NDArray[np.uint8]]):
    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return read_gray(self.paths[index])


def test_a_rejection_in_a_worker_process_names_the_file(tmp_path: Path) -> None:
    loader = DataLoader(Files([write(tmp_path, "pointer.png", POINTER)]), num_workers=1)
    with pytest.raises(ImageRejectedError, match=r"pointer\.png' but it is a Git-LFS pointer"):
        next(iter(loader))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_resize_keeps_a_constant_image_and_the_right_size(interpolation: str) -> None:
    pixels = resize(
        np.full((20, 30), 77, dtype=np.uint8), 8, check_choice("interpolation", interpolation, Interpolation)
    )
    assert pixels.shape == (8, 8)
    assert pixels.dtype == np.uint8
    assert (pixels == 77).all()


def test_resize_averages_when_it_shrinks() -> None:
    checkers = (255 * (np.indices((32, 32)).sum(axis=0) % 2)).astype(np.uint8)
    # Antialiased, a fine pattern becomes its mean; without, bilinear sampling would keep black or white.
    assert np.abs(resize(checkers, 8)[1:-1, 1:-1].astype(int) - 127).max() <= 3
    assert set(np.unique(resize(checkers, 8, "nearest"))) <= {0, 255}


def test_resize_gives_back_an_image_that_has_the_size() -> None:
    np.testing.assert_array_equal(resize(GRAY, 16), GRAY)


def test_an_unknown_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`interpolation` to be one of .* but got 'area'"):
        check_choice("interpolation", "area", Interpolation)


def test_what_cannot_be_read_whole_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)  # takes no room on the disk
    for name, code in (("pipe.png", "no_file"), ("large.png", "too_large"), ("", "no_file")):
        with pytest.raises(ImageRejectedError) as caught:
            read_image(tmp_path / name)
        assert caught.value.code == code
        assert [rejection.code for rejection in find_unreadable([tmp_path / name])] == [code]


def test_images_are_rotated_by_their_exif_orientation() -> None:
    for file_format in ("PNG", "JPEG", "TIFF"):
        for orientation, quarters in ((1, 0), (3, 2), (6, -1)):
            exif = Image.Exif()
            exif[0x0112] = orientation
            stored = np.repeat(np.repeat(GRAY, 8, 0), 8, 1)
            found = decode_image(encode(Image.fromarray(stored), file_format, exif=exif), "x").pixels
            assert np.abs(found.astype(int) - np.rot90(stored, quarters)).max() <= 12  # of JPEG


def test_tiffs_of_16_bits() -> None:
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    plain = decode_image(encode(Image.fromarray(deep), "TIFF"), "x").pixels
    assert np.abs(plain - deep / 257).max() <= 0.51
    white_is_zero = encode(Image.fromarray(deep), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(decode_image(white_is_zero, "x").pixels, 255 - plain)
    signed = decode_image(encode(Image.fromarray((deep.astype(int) - 32768).astype(np.int16)), "TIFF"), "x").pixels
    np.testing.assert_array_equal(signed, plain)
    one_bad = deep.astype(np.int32)
    one_bad = np.repeat(np.repeat(one_bad, 8, 0), 8, 1) // 2
    expected = decode_image(encode(Image.fromarray(one_bad), "TIFF"), "x").pixels
    one_bad[5, 5] = -1
    found = decode_image(encode(Image.fromarray(one_bad), "TIFF"), "x").pixels
    np.testing.assert_array_equal(np.delete(found, 5, 0), np.delete(expected, 5, 0))
    wide = decode_image(encode(Image.fromarray(deep.astype(np.int32) * 1000), "TIFF"), "x").pixels
    assert np.abs(wide - deep / 65280 * wide.max()).max() <= 0.6


def test_one_hot_pixel_does_not_darken_a_png() -> None:
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    clean = decode_image(encode(Image.fromarray(deep)), "x").pixels
    corrupted = deep.copy()
    corrupted[0, 0] = 65535
    found = decode_image(encode(Image.fromarray(corrupted)), "x").pixels
    np.testing.assert_array_equal(found.ravel()[1:], clean.ravel()[1:])
    assert found[0, 0] == 255
