"""A picture in memory, of every kind, has the pixels and flags of its file; what is none is refused in words."""

import copy
import io
import math
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from cxr_lightning.imaging.bit_depth import unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.image_sources import decode_source
from cxr_lightning.imaging.reader import decode_image
from tests.films import film
from tests.unit.imaging.test_deep_color import png as deep_png
from tests.unit.imaging.test_deep_color import tiff as deep_tiff
from tests.unit.imaging.test_dicom import content_of, dataset_of, inverse

GRAY = film(1, 48)
DEEP = (GRAY.astype(np.uint16) * 257 + np.arange(48, dtype=np.uint16)).astype(np.uint16)
LOW = (GRAY.astype(np.uint16) * 16).astype(np.uint16)
"""Values of 12 bits in 16."""
COLOR = np.stack([GRAY, film(2, 48), 255 - GRAY], axis=-1)
DEEP_COLOR = np.stack([DEEP, LOW, DEEP // 2], axis=-1)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def assert_same(found: DecodedImage, expected: DecodedImage) -> None:
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.pixels.dtype == np.uint8
    assert (found.color_fraction, found.view_position, found.flags) == (
        expected.color_fraction,
        expected.view_position,
        expected.flags,
    )


def with_alpha(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    alpha = np.linspace(0, np.iinfo(values.dtype).max, values[..., 0].size).reshape(values.shape[:2])
    return np.concatenate([values, alpha.astype(values.dtype)[..., None]], axis=-1)


FILES = {
    "gray": saved(Image.fromarray(GRAY)),
    "gray 16": saved(Image.fromarray(DEEP)),
    "gray 12 in 16": saved(Image.fromarray(LOW)),
    "RGB": saved(Image.fromarray(COLOR)),
    "RGBA": saved(Image.fromarray(with_alpha(COLOR))),
    "LA": saved(Image.fromarray(GRAY).convert("LA")),
    "palette": saved(Image.fromarray(COLOR).quantize(16)),
    "1 bit": saved(Image.fromarray(GRAY).convert("1")),
    "TIFF": saved(Image.fromarray(GRAY), "TIFF"),
    "TIFF 16": saved(Image.fromarray(DEEP), "TIFF"),
    "TIFF of other polarity": saved(Image.fromarray(GRAY), "TIFF", tiffinfo={262: 0}),
    "TIFF 16 of other polarity": saved(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0}),
    "JPEG": saved(Image.fromarray(COLOR), "JPEG"),
    "JPEG CMYK": saved(Image.fromarray(COLOR).convert("CMYK"), "JPEG"),
    **{f"JPEG turned {n}": saved(Image.fromarray(GRAY[:20]), "JPEG", exif=oriented(n)) for n in range(2, 9)},
    "PNG turned": saved(Image.fromarray(GRAY[:20]), exif=oriented(6)),
    "TIFF turned": saved(Image.fromarray(DEEP[:20]), "TIFF", exif=oriented(6)),
    "GIF": saved(Image.fromarray(GRAY), "GIF"),
    "WEBP": saved(Image.fromarray(COLOR), "WEBP"),
    "JPEG 2000": saved(Image.fromarray(GRAY), "JPEG2000"),
    "PNG RGB 16": deep_png(DEEP_COLOR),
    "PNG RGBA 16": deep_png(with_alpha(DEEP_COLOR)),
    "TIFF RGB 16": deep_tiff(DEEP_COLOR),
}
DATASETS = {
    "8 bit": dataset_of(GRAY),
    "12 bit": dataset_of(LOW, 12),
    "other polarity": inverse(LOW, 12),
    "window": dataset_of(LOW, 12, WindowCenter=2000, WindowWidth=1500),
    "useless window": dataset_of(LOW, 12, WindowCenter=60000, WindowWidth=1),
    "color": dataset_of(COLOR),
    "lateral": dataset_of(GRAY, ViewPosition="LL"),
    "raw": dataset_of(GRAY, PresentationIntentType="FOR PROCESSING"),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_in_memory_is_the_file(content: bytes, tmp_path: Path) -> None:
    expected = decode_image(content, "x")
    (tmp_path / "x").write_bytes(content)
    stream = io.BytesIO(b"before" + content)
    stream.seek(6)
    with (tmp_path / "x").open("rb") as file, tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(content)
        spooled.seek(0)
        sources: list[Any] = [
            tmp_path / "x",
            str(tmp_path / "x"),
            content,
            bytearray(content),
            memoryview(content),
            stream,
        ]
        for source in (*sources, file, spooled):
            assert_same(decode_source(source, "image 1"), expected)
    assert stream.read() == b""


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_an_image_of_pillow_is_its_file(content: bytes, tmp_path: Path) -> None:
    expected = decode_image(content, "x")
    image = Image.open(io.BytesIO(content))
    assert_same(decode_source(image, "image 1"), expected)
    assert_same(decode_source(Image.open(io.BytesIO(content)), "image 1"), expected)
    (tmp_path / "x").write_bytes(content)
    with Image.open(tmp_path / "x") as opened:
        assert_same(decode_source(opened, "image 1"), expected)


SHALLOW = [name for name in FILES if not name.startswith(("PNG RGB", "TIFF RGB"))]


@pytest.mark.parametrize("name", SHALLOW)
def test_an_image_of_pillow_that_was_loaded_is_its_file_and_stays_as_it_is(name: str) -> None:
    image = Image.open(io.BytesIO(FILES[name]))
    image.load()
    before, exif = image.tobytes(), dict(image.getexif())
    assert_same(decode_source(image, "image 1"), decode_image(FILES[name], "x"))
    assert (image.tobytes(), dict(image.getexif())) == (before, exif)


@pytest.mark.parametrize(
    ("values", "file"),
    [
        (GRAY, "gray"),
        (DEEP, "gray 16"),
        (LOW, "gray 12 in 16"),
        (COLOR, "RGB"),
        (with_alpha(COLOR), "RGBA"),
        (DEEP_COLOR, "PNG RGB 16"),
        (with_alpha(DEEP_COLOR), "PNG RGBA 16"),
    ],
    ids=["gray", "gray 16", "gray 12 in 16", "RGB", "RGBA", "RGB 16", "RGBA 16"],
)
def test_an_array_is_its_file_in_every_layout_of_memory(values: np.ndarray[Any, Any], file: str) -> None:
    expected = decode_image(FILES[file], "x")
    frozen = values.copy()
    frozen.flags.writeable = False
    strided = np.repeat(np.repeat(values, 2, axis=0), 3, axis=1)[::2, ::3]
    layouts: list[Any] = [
        values,
        np.asfortranarray(values),
        frozen,
        strided,
        values[::-1].copy()[::-1],
        torch.tensor(values),
    ]
    layouts += [values.astype(values.dtype.newbyteorder(order)) for order in "<>"]
    if values.ndim == 2:
        layouts += [values[..., None], torch.tensor(values)[..., None].requires_grad_(False)]
    for layout in layouts:
        before = np.asarray(layout).copy()
        assert_same(decode_source(layout, "image 1"), expected)
        np.testing.assert_array_equal(np.asarray(layout), before)


def test_the_pixels_are_a_copy() -> None:
    values = GRAY.copy()
    decoded = decode_source(values, "image 1")
    values[:] = 0
    np.testing.assert_array_equal(decoded.pixels, GRAY)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_8_bits_as_fractions_are_the_picture(kind: Any) -> None:
    for values in (GRAY, GRAY // 8, COLOR, with_alpha(COLOR), GRAY[..., None]):
        fractions = (values / 255).astype(kind)
        expected = decode_source(values, "x")
        assert_same(decode_source(fractions, "x", value_range=(0, 1)), expected)
        assert_same(decode_source(torch.tensor(fractions), "x", value_range=(0, 1)), expected)
        assert_same(decode_source((values / 255).astype(np.float64) * 3 - 1, "x", value_range=(-1, 2)), expected)


@given(arrays(np.uint16, (4, 5)))
def test_16_bits_as_fractions_are_the_picture_if_it_uses_them(values: Any) -> None:
    values[0, 0], values[0, 1] = 65535, 0  # else values of 16 bits are scaled to the bits that they use
    expected = unsigned_to_8_bits(values, 16)
    for kind in (np.float32, np.float64):
        found = decode_source((values / 65535).astype(kind), "x", value_range=[0, 1])
        np.testing.assert_array_equal(found.pixels, expected)
    plain = decode_source(values.astype(np.float64), "x", value_range=(0, 65535))
    np.testing.assert_array_equal(plain.pixels, expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_fractions_are_rounded_to_the_nearest_gray(low: float, width: float, fractions: list[float]) -> None:
    values = np.array([[low + fraction * width for fraction in fractions]]).clip(low, low + width)
    found = decode_source(values, "x", value_range=(low, low + width)).pixels
    assert np.abs(found - (values - low) / width * 255).max() <= 0.5 + 1e-3  # a range far from 0 has fewer digits


def test_the_ends_of_a_range_are_in_it_in_every_precision() -> None:
    for kind in (np.float16, np.float32, np.float64):
        found = decode_source(np.array([[0.1, 0.7]], kind), "x", value_range=(0.1, 0.7)).pixels
        np.testing.assert_array_equal(found, [[0, 255]])
    np.testing.assert_array_equal(
        decode_source(np.array([[0, 65504]], np.float16), "x", value_range=(0, 65535)).pixels, [[0, 255]]
    )


def test_a_range_that_is_the_whole_one_of_integers_changes_nothing() -> None:
    assert_same(decode_source(GRAY, "x", value_range=(0, 255)), decode_source(GRAY, "x"))
    assert_same(decode_source(LOW, "x", value_range=(0, 65535)), decode_source(LOW, "x"))


class OddReader:
    """A file object whose reading gives no bytes."""

    def read(self, size: int) -> Any:
        return size


@pytest.mark.parametrize(
    ("source", "value_range", "message"),
    [
        (GRAY > 9, None, r"uint8, uint16, or float with value_range, in 'image 1' but got an array of bool\. If"),
        (GRAY.astype(np.int64), None, r"but got an array of int64\. Its values are from 46 to 2\d\d: convert"),
        (GRAY.astype(np.int16), (0, 255), r"but got an array of int16\. .* value_range"),
        (GRAY.astype(np.complex64), None, "but got an array of complex64. Give an array of pixel values"),
        (GRAY.astype(object), None, "but got an array of object"),
        (np.array([["a.png", "b.png"]]), None, "but got an array of <U5. Give an array of pixel values; several"),
        (GRAY.astype(np.float32), None, r"value_range=\(low, high\) for float32 .* are from 46 to 2\d\d\. Give"),
        (GRAY.astype(np.longdouble), (0, 1), r"but got an array of float\d+\. Convert it to float64"),
        (GRAY / 100, (0, 1), r"values in value_range=\(0\.0, 1\.0\) in 'image 1' but they are from 0\.46 to 2\.\d"),
        (np.full((4, 4), math.nan), (0, 1), "but 16 of 16 are NaN or infinite. Replace"),
        (np.array([[0.5, math.inf]]), (0, 1), "but 1 of 2 are NaN"),
        (GRAY, (0, 1), r"Expected no value_range, or \(0, 255\), for uint8 in 'image 1' but got \(0\.0, 1\.0\)"),
        (LOW, (0, 4095), r"Expected no value_range, or \(0, 65535\), for uint16"),
        (GRAY / 255, (1, 0), r"two finite numbers .* but got \(1, 0\)\. Give"),
        (GRAY / 255, (0, math.inf), "two finite numbers"),
        (GRAY / 255, (-1e308, 1e308), "two finite numbers"),
        (GRAY / 255, (0, 1, 2), "two finite numbers"),
        (GRAY / 255, 255, "two finite numbers"),
        (GRAY / 255, ("a", "b"), "two finite numbers"),
        (GRAY[None], None, r"got the shape \(1, 48, 48\): the channels first\. Give array\[0\]"),
        (np.moveaxis(COLOR, -1, 0), None, r"the shape \(3, 48, 48\): the channels first\. Move them to the end"),
        (np.stack([GRAY] * 5), None, r"the shape \(5, 48, 48\): several images\. Give them as a list: list\(array\)"),
        (COLOR[None], None, r"the shape \(1, 48, 48, 3\): several images"),
        (GRAY[0], None, r"the shape \(48,\): 1 axes"),
        (np.uint8(3), None, r"the shape \(\): 0 axes"),
        (np.zeros((0, 5), np.uint8), None, r"the shape \(0, 5\): no pixels"),
        (np.ma.masked_less(GRAY, 50), None, "one with masked values. Fill them"),
        (torch.zeros(4, 4, dtype=torch.bfloat16), None, r"got Tensor, which NumPy cannot read \(.+\)\. Give it as"),
        (torch.zeros(4, 4, requires_grad=True), (0, 1), "got Tensor, which NumPy cannot read"),
        (torch.zeros(4, 4, device="meta"), (0, 1), "got Tensor, which NumPy cannot read"),
        (b"", (0, 1), r"no value_range for 'image 1', which is no array but bytes, but got \(0, 1\)\. Leave it out"),
        (Image.fromarray(GRAY), (0, 255), "which is no array but Image"),
        (7, None, "Expected a path, bytes, a binary file object, an array, .* as 'image 1' but got int"),
        (None, None, "but got NoneType"),
        ([[1, 2]], None, "but got list. Give a flat list"),
        ({"a": 1}, None, "but got dict"),
        ("a\0b.png", None, r"Expected a path but got 'a\\\\x00b.png', with the character NUL"),
        (
            io.StringIO("abc"),
            None,
            "bytes from the file object 'image 1' but got a text file. Open it in binary mode",
        ),
        (io.BufferedWriter(io.BytesIO()), None, r"Expected a file to read as 'image 1' but it is not\. Open it"),
        (OddReader(), None, r"Expected bytes from the file object 'image 1' but got int\. Open it in binary mode"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(source: Any, value_range: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        decode_source(source, "image 1", value_range=value_range)
    assert not isinstance(caught.value, ImageRejectedError)


class FailingReader:
    """A file whose disk or connection is gone."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, size: int) -> bytes:
        raise self.error


def closed() -> io.BytesIO:
    file = io.BytesIO(b"abc")
    file.close()
    return file


@pytest.mark.parametrize("source", [closed(), FailingReader(RuntimeError("a\nb"))])
def test_a_closed_file_object_is_refused_in_words(source: Any) -> None:
    with pytest.raises(
        ValueError, match=r"Expected an open file as 'x' but it cannot be read \((I/O|a b).*Open it again"
    ):
        decode_source(source, "x")


def emptied() -> io.BytesIO:
    file = io.BytesIO(FILES["gray"])
    file.read()
    return file


def opened_and_closed() -> Image.Image:
    with Image.open(io.BytesIO(FILES["gray"])) as image:
        return image


def loaded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def cut_off() -> Image.Image:
    return Image.open(io.BytesIO(FILES["JPEG"][:-200]))


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda: b"", "empty", "Expected an image in 'image 1' but the file is empty"),
        (lambda: b"<html>", "web_page", "it is a web page"),
        (lambda: FILES["gray"][:900], "damaged", "cannot be decoded"),
        (emptied, "empty", r"nothing is left to read in the file\. Rewind"),
        (lambda: FailingReader(OSError(5, "input/output error")), "unreadable", "input/output error"),
        (opened_and_closed, "damaged", r"it cannot be decoded \(.+\)\. Give the file or its bytes, or an image"),
        (cut_off, "damaged", "it cannot be decoded .*truncated"),
        (
            lambda: Image.new("F", (4, 4)),
            "damaged",
            r"floating-point .* Give np\.asarray\(image\), with value_range",
        ),
        (lambda: Image.new("L", (0, 4)), "damaged", "it has no pixels"),
        (lambda: loaded(FILES["TIFF RGB 16"]), "bits_dropped", "Pillow has dropped bits .* Give the file or its bytes"),
        (lambda: np.broadcast_to(np.uint8(0), (70_000, 4)), "too_large", "it has 4x70000 pixels"),
        (Dataset, "no_pixels", "the DICOM dataset has no elements"),
        (lambda: dataset_of(GRAY, Modality="CT"), "not_a_chest_radiograph", "CT"),
    ],
)
def test_what_is_no_usable_image_is_rejected(make: Callable[[], Any], code: str, message: str) -> None:
    with pytest.raises(ImageRejectedError, match=message) as caught:
        decode_source(make(), "image 1")
    assert caught.value.code == code


def test_an_endless_file_object_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.imaging.image_sources.MAX_IMAGE_BYTES", 1 << 22)
    with (
        Path("/dev/zero").open("rb") as file,
        pytest.raises(ImageRejectedError, match="more than 4,194,304 bytes") as caught,
    ):
        decode_source(file, "x")
    assert caught.value.code == "too_large"
    with pytest.raises(ImageRejectedError, match="more than 4,194,304 bytes"):
        decode_source(bytes((1 << 22) + 1), "x")


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_a_dataset_is_its_file_and_stays_as_it_is(dataset: Any) -> None:
    content = content_of(copy.deepcopy(dataset))
    expected = decode_image(content, "x.dcm")
    for source in (dataset, dcmread(io.BytesIO(content))):
        before = copy.deepcopy(source)
        assert_same(decode_source(source, "image 1"), expected)
        assert source == before
        assert source.file_meta == before.file_meta
        assert source["PixelData"].is_undefined_length == before["PixelData"].is_undefined_length


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, None])
def test_a_dataset_without_meta_data_is_its_file(syntax: Any) -> None:
    source = copy.deepcopy(DATASETS["12 bit"])
    expected = decode_image(content_of(source), "x.dcm")
    if syntax is None:  # made in memory
        bare = Dataset()
        bare.update({element.tag: element for element in source})
    else:
        if syntax is ExplicitVRBigEndian:
            source.PixelData = LOW.astype(">u2").tobytes()
        file = io.BytesIO()
        source.file_meta.TransferSyntaxUID = syntax
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcmwrite(file, source)
        bare = dcmread(io.BytesIO(file.getvalue()))
        del bare.file_meta
    assert_same(decode_source(bare, "image 1"), expected)
    assert not hasattr(bare, "file_meta")


def compressed() -> Any:
    dataset = copy.deepcopy(DATASETS["12 bit"])
    dataset.compress(RLELossless)
    return dataset


def test_a_compressed_dataset_is_its_file_and_without_transfer_syntax_refused() -> None:
    dataset = compressed()
    assert_same(decode_source(dataset, "x"), decode_image(content_of(compressed()), "x.dcm"))
    del dataset.file_meta
    with pytest.raises(
        ImageRejectedError, match=r"compressed and its transfer syntax is missing. Set dataset.file_meta"
    ):
        decode_source(dataset, "x")


def test_a_dataset_is_forced_as_its_file_is() -> None:
    dataset = dataset_of(GRAY, Modality="CT")
    assert_same(decode_source(dataset, "x", force=True), decode_image(content_of(dataset), "x", force=True))


def test_elements_of_a_message_are_left_out_and_those_that_cannot_be_written_are_not_quoted() -> None:
    dataset = copy.deepcopy(DATASETS["8 bit"])
    dataset.add_new(0x00000002, "UI", "1.2")
    np.testing.assert_array_equal(decode_source(dataset, "x").pixels, GRAY)
    dataset.Rows = "SECRET"
    with pytest.raises(ImageRejectedError, match=r"elements cannot be written \(\w+\)\. Give the file") as caught:
        decode_source(dataset, "x")
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_array_of_another_library_is_taken_by_its_own_conversion() -> None:
    class Picture:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
            return GRAY

    assert_same(decode_source(Picture(), "x"), decode_source(GRAY, "x"))


def test_a_path_like_object_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(FILES["gray"])
    np.testing.assert_array_equal(decode_source(np.str_(tmp_path / "x.png"), "x").pixels, GRAY)
    np.testing.assert_array_equal(decode_source(np.bytes_(FILES["gray"]), "x").pixels, GRAY)
    (entry,) = os.scandir(tmp_path)
    np.testing.assert_array_equal(decode_source(entry, "x").pixels, GRAY)
    (entry_of_bytes,) = os.scandir(os.fsencode(tmp_path))
    found = decode_source(entry_of_bytes, "x")  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.pixels, GRAY)
