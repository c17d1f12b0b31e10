"""DICOM: tables, polarity, padding, orientation; which files are refused; that nothing about the patient is quoted."""

import logging
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cxr_lightning.data.data_check import DataRequest
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.decoder import decode_here
from cxr_lightning.imaging.dicom_frame_size import frame_size
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import decode_image, read_image
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.phantom.reference_image import reference_image

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
SECRET = "DOE^JANE"
PYDICOMS = Path(pydicom.__file__).parent / "data" / "test_files"
FILMS = Path(__file__).parents[4] / "shared" / "data" / "dicom"
HAS_GPL_DECODER = find_spec("libjpeg") is not None
needs_gpl = pytest.mark.skipif(not HAS_GPL_DECODER, reason="its decoder is of the extra dicom-gpl")


def dataset_of(pixels: NDArray[Any], bits: int = 8, **tags: object) -> FileDataset:
    """A radiograph with these stored values."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComputedRadiographyImageStorage, UID("1.2.3")
    found = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.PatientName = SECRET
    found.Modality, found.BodyPartExamined, found.ViewPosition = "CR", "CHEST", "PA"
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    found.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        found.PlanarConfiguration = 0
    found.BitsAllocated, found.BitsStored, found.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = pixels.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some values are wrong on purpose
        for name, value in tags.items():
            setattr(found, name, value)
    return found


def content_of(dataset: FileDataset) -> bytes:
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def gray_of(dataset: FileDataset, *, force: bool = False) -> NDArray[np.uint8]:
    return decode_image(content_of(dataset), "x.dcm", force=force).pixels


def rejection_text(content: bytes) -> str:
    """Why it is rejected; empty if it is not."""
    try:
        decode_image(content, "x.dcm", force=True)
    except ImageRejectedError as error:
        return str(error)
    return ""


def inverse(pixels: NDArray[Any], bits: int, **tags: object) -> FileDataset:
    """The MONOCHROME1 twin."""
    twin = ((1 << bits) - 1 - pixels.astype(np.int64)).astype(pixels.dtype)
    return dataset_of(twin, bits, PhotometricInterpretation="MONOCHROME1", **tags)


def test_8_bit_values_are_the_image() -> None:
    np.testing.assert_array_equal(gray_of(dataset_of(RAMP)), RAMP)


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_depths_and_polarities_give_one_image(bits: int) -> None:
    kind: Any = np.uint8 if bits == 8 else np.uint16
    deep = (RAMP.astype(np.int64) * ((1 << bits) - 1) / 255).round().astype(kind)
    np.testing.assert_array_equal(gray_of(dataset_of(deep, bits)), RAMP)
    np.testing.assert_array_equal(gray_of(inverse(deep, bits)), RAMP)


def test_the_center_and_width_of_a_window_are_the_standards() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    center, width = 2000.0, 1000.0
    x = values.astype(float)
    linear = ((x - (center - 0.5)) / (width - 1) + 0.5).clip(0, 1)  # PS3.3, C.11.2.1.2.1
    exact = ((x - center) / width + 0.5).clip(0, 1)
    sigmoid = 1 / (1 + np.exp(-4 * (x - center) / width))
    for function, shown in (("LINEAR", linear), ("LINEAR_EXACT", exact), ("SIGMOID", sigmoid)):
        tags = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
        found = gray_of(dataset_of(values, 12, **tags))
        assert np.abs(found - 255 * shown).max() <= 0.51


def test_the_first_of_several_windows_is_used() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    one = gray_of(dataset_of(values, 12, WindowCenter=2000, WindowWidth=1000))
    both = gray_of(dataset_of(values, 12, WindowCenter=[2000, 600], WindowWidth=[1000, 9]))
    np.testing.assert_array_equal(one, both)


def test_a_window_is_of_rescaled_values() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    plain = gray_of(dataset_of(values, 12, WindowCenter=2000, WindowWidth=1000))
    tags = {"RescaleSlope": "2", "RescaleIntercept": "-1024", "WindowCenter": 2000 * 2 - 1024, "WindowWidth": 2000}
    assert np.abs(plain.astype(int) - gray_of(dataset_of(values, 12, **tags))).max() <= 1
    tags = {"RescaleSlope": "2", "RescaleIntercept": "-1024"}
    np.testing.assert_array_equal(gray_of(dataset_of(values, 12, **tags)), gray_of(dataset_of(values, 12)))


def table_of(entries: NDArray[np.integer], bits: int, first: int = 0) -> Sequence:
    table = Dataset()
    table.LUTDescriptor = [len(entries), first, bits]
    table.LUTData = entries.astype("<u2").tobytes()
    return Sequence([table])


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_are_applied(name: str, bits: int) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    squares = (np.arange(4096) / 4095) ** 2
    tags: dict[str, Any] = {name: table_of((squares * ((1 << bits) - 1)).round().astype(int), bits)}
    if name == "VOILUTSequence":
        tags |= {"RescaleSlope": 1, "RescaleIntercept": 0}
    tolerance = 1 if bits == 8 else 0.6
    found = gray_of(dataset_of(values, 12, **tags))
    assert np.abs(found - 255 * squares[values]).max() <= tolerance
    inverted = gray_of(dataset_of(values, 12, PhotometricInterpretation="MONOCHROME1", **tags))
    np.testing.assert_array_equal(inverted, 255 - found)


def test_a_table_whose_entries_need_more_bits_than_it_declares_does_not_wrap_around() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    found = gray_of(dataset_of(values, 12, VOILUTSequence=table_of(np.arange(4096) * 2, 12)))
    assert np.abs(found - 255 * (values * 2 / 8191)).max() <= 0.51


def test_a_table_of_a_big_endian_file() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    table = table_of(np.arange(4096) // 2, 12)
    little = gray_of(dataset_of(values, 12, VOILUTSequence=table))
    table[0].LUTData = (np.arange(4096) // 2).astype(">u2").tobytes()
    big = dataset_of(values.astype(">u2"), 12, VOILUTSequence=table)
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    for one in (big, table[0]):
        one.set_original_encoding(False, False)
    np.testing.assert_array_equal(gray_of(big), little)


def test_a_tables_first_value_and_ends() -> None:
    found = gray_of(dataset_of(RAMP, VOILUTSequence=table_of(np.array([0, 65535]), 16, first=100)))
    np.testing.assert_array_equal(found, np.where(RAMP > 100, 255, 0))


def test_a_table_may_need_fewer_bits_than_it_declares() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    found = gray_of(dataset_of(values, 12, VOILUTSequence=table_of(np.arange(4096), 16)))
    np.testing.assert_array_equal(found, gray_of(dataset_of(values, 12)))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_hot_pixels_do_not_darken_the_others(photometric: str) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    clean = gray_of(dataset_of(values, 12, PhotometricInterpretation=photometric))
    for bits, hot in ((12, 4096), (12, 65535), (16, 65535)):
        corrupted = values.copy()
        corrupted[1, :4] = hot
        found = gray_of(dataset_of(corrupted, bits, PhotometricInterpretation=photometric))
        np.testing.assert_array_equal(np.delete(found, 1, 0), np.delete(clean, 1, 0))
    signed = values.astype(np.int16)
    signed[1, :4] = -30000
    np.testing.assert_array_equal(gray_of(dataset_of(signed, 13))[2:], gray_of(dataset_of(values, 12))[2:])


def test_padding_does_not_bring_hot_pixels_back_into_the_scale() -> None:
    values = np.arange(4096, dtype=np.int16).reshape(64, 64)
    padded = values.copy()
    padded[:8] = 5000
    clean = gray_of(dataset_of(padded, 16, PixelPaddingValue=5000))
    padded[20, :2] = -30000
    found = gray_of(dataset_of(padded, 16, PixelPaddingValue=5000))
    np.testing.assert_array_equal(np.delete(found, 20, 0), np.delete(clean, 20, 0))
    assert np.ptp(clean) > 250


def test_gray_colors_of_16_bits_are_no_color() -> None:
    gray = np.stack([RAMP.astype(int) * 257] * 3, axis=-1) + np.array([0, 20, 40])
    gray = np.minimum(gray, 65535).astype(np.uint16)
    found = decode_image(content_of(dataset_of(gray, 16)), "x.dcm")
    assert found.color_fraction == 0
    assert np.abs(found.pixels.astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_bits_at_the_upper_end_are_the_values_too(kind: Any) -> None:
    values = np.arange(4096).reshape(64, 64) - (2048 if kind is np.int16 else 0)
    found = gray_of(dataset_of((values * 16).astype(kind), 12, HighBit=15))
    assert np.abs(found.astype(int) - gray_of(dataset_of(values.astype(kind), 12))).max() <= 1


def test_values_above_the_declared_bits_do_not_wrap_around() -> None:
    values = (RAMP.astype(np.uint16) * 32).copy()  # to 8,160, declared to be below 4,096
    found = gray_of(dataset_of(values, 12))
    assert np.abs(found - 255 * (values / 8191)).max() <= 0.51


def test_an_overlay_in_the_unused_bits_is_not_the_image() -> None:
    values = RAMP.astype(np.uint16) * 16
    marked = dataset_of(values | np.uint16(0x1000), 12)
    marked.add_new((0x6000, 0x0102), "US", 12)
    np.testing.assert_array_equal(gray_of(marked), gray_of(dataset_of(values, 12)))


def test_signed_values_are_shown_too() -> None:
    signed = RAMP.astype(np.int16) - 128
    np.testing.assert_array_equal(gray_of(dataset_of(signed, 16)), RAMP)
    positive = (RAMP.astype(np.int16)) * 16
    assert np.abs(gray_of(dataset_of(positive, 16)) - 255 * (positive / 4095)).max() <= 0.51


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(8, np.uint8), (10, np.uint16), (12, np.uint16), (16, np.uint16), (12, np.int16), (16, np.int16)]),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    st.sampled_from(["", "LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.sampled_from([None, 1, -1, 2.5]),
)
def test_twins_in_both_polarities_are_one_image(
    seed: int, pixel_type: tuple[int, Any], ends: tuple[int, int], function: str, slope: float | None
) -> None:
    bits, kind = pixel_type
    lowest = -(1 << (bits - 1)) if kind is np.int16 else 0
    low, high = sorted(end % (1 << bits) for end in ends)
    values = np.random.default_rng(seed).integers(low, high + 1, (40, 40)) + lowest
    total = (1 << bits) - 1 + 2 * lowest  # the sum of both images' values
    values[0, 0], values[1:7] = lowest, total - lowest - seed % (1 << (bits - 1))  # a dead pixel, and padding
    padding = int(values[1, 0])
    tags: dict[str, Any] = {} if slope is None else {"RescaleSlope": slope, "RescaleIntercept": 0}
    windows: list[dict[str, Any]] = [{"PixelPaddingValue": padding}, {"PixelPaddingValue": total - padding}]
    if function:
        of_line = slope or 1.0
        center, width = of_line * ((low + high) // 2 + lowest), max(2, abs(of_line) * (high - low) // 2)
        shift = 1 if function == "LINEAR" else 0  # its center is half a step above the middle
        for window, place in zip(windows, (center, of_line * total - center + shift), strict=True):
            window |= {"WindowCenter": place, "WindowWidth": width, "VOILUTFunction": function}
    found = gray_of(dataset_of(values.astype(kind), bits, **tags, **windows[0]))
    twin = dataset_of(
        (total - values).astype(kind), bits, PhotometricInterpretation="MONOCHROME1", **tags, **windows[1]
    )
    np.testing.assert_array_equal(gray_of(twin), found)
    if 255 * np.ptp(values[7:]) > (1 << bits) and not function:  # more than one of 256 levels
        assert np.ptp(found[7:]) > 0


def test_a_line_that_falls_inverts_the_image() -> None:
    tags: dict[str, Any] = {"RescaleSlope": "-1", "RescaleIntercept": "255"}
    plain = gray_of(dataset_of(RAMP, **tags))
    np.testing.assert_array_equal(plain, 255 - RAMP)
    window = {"WindowCenter": 128, "WindowWidth": 256}
    np.testing.assert_array_equal(gray_of(dataset_of(RAMP, **tags, **window)), plain)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 0, "WindowWidth": 0},
        {"WindowCenter": None, "WindowWidth": 256},
        {"WindowCenter": 128, "WindowWidth": 256, "VOILUTFunction": ""},
        {"WindowCenter": 128, "WindowWidth": 256, "VOILUTFunction": "CUBIC"},
        {"VOILUTSequence": Sequence([])},
        {"VOILUTSequence": Sequence([Dataset()])},
        {"ModalityLUTSequence": Sequence([])},
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": "0", "RescaleIntercept": "0"},
        {"RescaleSlope": "1"},
        {"RescaleSlope": "nan", "RescaleIntercept": "0", "WindowCenter": 128, "WindowWidth": 256},
        {"WindowCenter": "nan", "WindowWidth": 256},
        {"PixelPaddingValue": None},
        {"NumberOfFrames": None},
        {"HighBit": None},
    ],
)
def test_elements_without_usable_content_are_passed_over(tags: dict[str, Any]) -> None:
    np.testing.assert_array_equal(gray_of(dataset_of(RAMP, **tags)), RAMP)


def test_padding_of_signed_pixels_may_be_written_as_unsigned() -> None:
    values = (RAMP.astype(np.int16) * 16).copy()
    padded = values.copy()
    padded[:2] = -2000
    dataset = dataset_of(padded, 16)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    found = gray_of(dataset)
    assert (found[:2] == 0).all()
    np.testing.assert_array_equal(found[2:], gray_of(dataset_of(values, 16))[2:])


def test_a_palettes_colors_are_looked_up() -> None:
    levels = np.arange(256, dtype=np.uint8)[::-1]
    for channels in ((levels, levels, levels), (levels, levels // 2, levels)):
        dataset = dataset_of(RAMP, PhotometricInterpretation="PALETTE COLOR")
        for name, channel in zip(("Red", "Green", "Blue"), channels, strict=True):
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
            setattr(dataset, f"{name}PaletteColorLookupTableData", channel.tobytes())
        found = decode_image(content_of(dataset), "x.dcm")
        colors = Image.fromarray(np.stack(channels, -1)[RAMP])
        assert np.abs(found.pixels.astype(int) - np.asarray(colors.convert("L"))).max() <= 1
        assert (found.color_fraction > 0.8) == (channels[0] is not channels[1])


@pytest.mark.parametrize("limit", [None, 65535])
def test_padding_is_black_and_has_no_part_in_the_scale(limit: int | None) -> None:
    values = RAMP.astype(np.uint16) * 16
    padded = values.copy()
    padded[:2] = 65530
    tags = {"PixelPaddingValue": 65530} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        clean = gray_of(dataset_of(values, 16, PhotometricInterpretation=photometric))
        found = gray_of(dataset_of(padded, 16, PhotometricInterpretation=photometric, **tags))
        assert (found[:2] == 0).all()
        np.testing.assert_array_equal(found[2:], clean[2:])


@pytest.mark.parametrize(
    ("orientation", "transform"),
    [
        (["L", "F"], lambda image: image),
        (["R", "F"], lambda image: image[:, ::-1]),
        (["L", "H"], lambda image: image[::-1]),
        (["R", "H"], lambda image: image[::-1, ::-1]),
        (["F", "L"], lambda image: image.T),
        (["H", "L"], lambda image: image[::-1].T),
        (["F", "R"], lambda image: image[:, ::-1].T),
        (["P", "F"], lambda image: image),
        ("", lambda image: image),
    ],
)
def test_what_is_rotated_or_mirrored_is_put_upright(
    orientation: list[str], transform: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    # `transform` makes the stored image of the upright one; transpositions come last.
    found = gray_of(dataset_of(np.ascontiguousarray(transform(RAMP)), PatientOrientation=orientation))
    np.testing.assert_array_equal(found, RAMP)


def test_color_becomes_luminance_and_is_measured() -> None:
    gray = np.stack([RAMP] * 3, axis=-1)
    found = decode_image(content_of(dataset_of(gray)), "x.dcm")
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert found.color_fraction == 0
    red = np.stack([RAMP, RAMP // 2, RAMP // 2], axis=-1)
    assert decode_image(content_of(dataset_of(red)), "x.dcm").color_fraction > 0.8


def test_compressed_pixels_are_decoded() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    for syntax, kind, options, tolerance in (
        (JPEGBaseline8Bit, "JPEG", {"quality": 95}, 2),
        (JPEG2000, "JPEG2000", {"no_jp2": True, "irreversible": False}, 0),
    ):
        file = BytesIO()
        Image.fromarray(smooth).save(file, kind, **options)
        found = dataset_of(smooth)
        found.file_meta.TransferSyntaxUID = syntax
        found.PixelData = encapsulate([file.getvalue()])
        found["PixelData"].is_undefined_length = True
        assert frame_size(found) == (64, 64)
        assert np.abs(gray_of(found).astype(int) - smooth).max() <= tolerance
    run_length = dataset_of(smooth)
    run_length.compress(RLELossless)
    np.testing.assert_array_equal(gray_of(run_length), smooth)
    deflated = dataset_of(smooth)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    np.testing.assert_array_equal(gray_of(deflated), smooth)


def theirs(name: str) -> DecodedImage:
    return read_image(PYDICOMS / name, force=True)


@pytest.mark.parametrize(
    "kind", ["RLE", "bigendian", "expb", "implicit", "jp2klossless", pytest.param("jpeg_ls_lossless", marks=needs_gpl)]
)
def test_gray_transfer_syntaxes_that_nothing_here_can_write(kind: str) -> None:
    """On files that come with pydicom: one image in several syntaxes."""
    np.testing.assert_array_equal(theirs(f"MR_small_{kind}.dcm").pixels, theirs("MR_small.dcm").pixels)


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ("rle_16bit", 0),
        ("gdcm_KY", 8),  # JPEG 2000
        ("jpeg_dcmtk", 8),  # JPEG of YBR
        pytest.param("jpeg_gdcm", 0, marks=needs_gpl),  # lossless JPEG
        pytest.param("jls_lossy_line", 8, marks=needs_gpl),  # JPEG-LS
    ],
)
def test_color_transfer_syntaxes_that_nothing_here_can_write(kind: str, tolerance: int) -> None:
    colors, found = theirs("SC_rgb_rle.dcm"), theirs(f"SC_rgb_{kind}.dcm")
    assert np.abs(found.pixels.astype(int) - colors.pixels).max() <= tolerance
    assert found.color_fraction == pytest.approx(colors.color_fraction, abs=0.02)


@needs_gpl
def test_jpeg_of_12_bits_is_decoded() -> None:
    extended = theirs("JPGExtended.dcm").pixels
    order = np.argsort(pydicom.dcmread(PYDICOMS / "JPGExtended.dcm").pixel_array, axis=None)
    assert (np.diff(extended.ravel()[order].astype(int)) >= 0).all()
    assert np.ptp(extended) > 50


REFUSED = {"JPEG-lossy", "JPEG2000-embedded-sequence-delimiter", "MR_truncated", "badVR"}
"""Of pydicom's files that have pixels; pydicom itself cannot decode them as they are."""
GPL_DECODED = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)


@pytest.mark.parametrize("syntax", GPL_DECODED, ids=lambda syntax: syntax.keyword)
def test_the_error_for_a_decoder_under_the_gpl_names_its_extra(syntax: UID, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = get_decoder(syntax)
    available = {name: plugin for name, plugin in decoder._available.items() if name == "pillow"}
    monkeypatch.setattr(decoder, "_available", available)  # as without that extra
    found = dataset_of(RAMP.astype(np.uint16), 12)
    found.file_meta.TransferSyntaxUID = syntax
    found.PixelData = encapsulate([bytes(64)])
    found["PixelData"].is_undefined_length = True
    with pytest.raises(ImageRejectedError, match=r"GPL.*is not installed.*uv sync --extra dicom-gpl") as caught:
        decode_here(content_of(found), "x.dcm")
    assert "\n" not in str(caught.value)
    assert not caught.value.permanent


@pytest.mark.parametrize("path", sorted(PYDICOMS.glob("*.dcm")), ids=lambda path: path.stem)
def test_odd_files_are_read_unless_there_is_no_image_in_them(path: Path) -> None:
    rejection = rejection_text(path.read_bytes())
    dataset = pydicom.dcmread(path, force=True)
    if path.stem in REFUSED:
        assert "'x.dcm'" in rejection
    elif "PixelData" not in dataset or "Rows" not in dataset:
        expected = "is cut off" if path.stem == "rtplan_truncated" else "has no pixels"
        assert expected in rejection or "in no image format" in rejection
    elif not HAS_GPL_DECODER and dataset.file_meta.get("TransferSyntaxUID") in GPL_DECODED:
        assert "--extra dicom-gpl" in rejection
    else:
        assert rejection == ""


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_file_without_preamble_and_meta_data_is_read(syntax: UID, tmp_path: Path) -> None:
    plain = dataset_of(RAMP)
    plain.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    pydicom.dcmwrite(file, Dataset(plain), implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    assert file.getvalue()[128:132] != b"DICM"
    (tmp_path / "x").write_bytes(file.getvalue())
    np.testing.assert_array_equal(read_image(tmp_path / "x").pixels, RAMP)
    assert find_unreadable([tmp_path / "x"]) == []


@pytest.mark.parametrize("cache", [False, True])
def test_a_data_set_of_dicom_files_is_that_of_their_images(cache: bool, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 40, 40), dtype=np.uint8)
    rows: dict[str, list[str]] = {"png": ["image,patient,Effusion"], "dcm": ["image,patient,Effusion"]}
    for number, pixels in enumerate(images):
        (tmp_path / f"{number}.dcm").write_bytes(content_of(inverse(pixels, 8)))
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        for kind, lines in rows.items():
            lines.append(f"{number}.{kind},{number},{number % 2}")
    found = []
    for kind, lines in rows.items():
        (tmp_path / f"{kind}.csv").write_text("\n".join(lines))
        source = CsvLayout(f"{kind}.csv", image_column="image", patient_column="patient")
        module = ChestXRayDataModule(
            str(tmp_path),
            source,
            labels=["Effusion"],
            split="all",
            image_size=32,
            cache=cache,
            cache_dir=str(tmp_path / "cache"),
        )
        module.load(DataRequest(required=["test"], images=["test"]))
        found.append(module.dataset("test").images.read(range(12)))
    of_png, of_dicom = found
    np.testing.assert_array_equal(of_png, of_dicom)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"Modality": "CT"}, r"no radiograph \(Modality CT\)\."),
        ({"Modality": "JANE"}, r"no radiograph \(by its"),
        ({"Modality": "MG", "BodyPartExamined": "BREAST"}, "no radiograph"),
        ({"BodyPartExamined": "HAND"}, r"another part of the body \(BodyPartExamined HAND\)\."),
        ({"BodyPartExamined": "JANE LEFT HAND"}, r"another part of the body \(BodyPartExamined HAND\)\."),
        ({"BodyPartExamined": "THORACIC SPINE"}, r"\(BodyPartExamined SPINE\)\."),
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "has 2 frames, not one"),
    ],
)
def test_what_is_no_chest_radiograph_is_refused_unless_forced(tags: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageRejectedError, match=message) as caught:
        gray_of(dataset_of(RAMP, **tags))
    assert caught.value.code == "not_a_chest_radiograph"
    assert "--force" in str(caught.value)
    np.testing.assert_array_equal(gray_of(dataset_of(RAMP, **tags), force=True), RAMP)


def test_frames_are_named_before_their_size() -> None:
    with pytest.raises(ImageRejectedError, match=r"has 20,000 frames, not one.*--force"):
        gray_of(dataset_of(RAMP, NumberOfFrames=20_000, Rows=2048, Columns=2048))


@pytest.mark.parametrize("part", ["", "THORAX", "PORT CHEST", "LUNG", "TORAX", "CHEST ABDOMEN", "UNKNOWN"])
def test_names_of_the_chest_are_many(part: str) -> None:
    np.testing.assert_array_equal(gray_of(dataset_of(RAMP, BodyPartExamined=part)), RAMP)


def test_data_without_pixels_is_refused() -> None:
    report = dataset_of(RAMP)
    del report.PixelData
    with pytest.raises(ImageRejectedError, match="has no pixels") as caught:
        gray_of(report)
    assert caught.value.code == "no_pixels"


@cache
def bombs() -> dict[str, bytes]:
    many = dataset_of(RAMP)
    many.Rows, many.Columns = 60_000, 60_000
    file = BytesIO()
    Image.new("L", (2000, 1000)).save(file, "JPEG2000", no_jp2=True)
    wide = dataset_of(RAMP)
    wide.file_meta.TransferSyntaxUID = JPEG2000
    stream = bytearray(file.getvalue())
    at = stream.find(b"\xff\x4f\xff\x51") + 8
    stream[at : at + 8] = (60_000).to_bytes(4) * 2  # the size of the grid
    wide.PixelData = encapsulate([bytes(stream)])
    wide["PixelData"].is_undefined_length = True
    other = dataset_of(RAMP)
    other.file_meta.TransferSyntaxUID = JPEG2000
    other.PixelData = encapsulate([file.getvalue()])
    other["PixelData"].is_undefined_length = True
    small = dataset_of(RAMP)
    small.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = content_of(small)
    head = whole[: 144 + int.from_bytes(whole[140:144], "little")]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(400)) + squeeze.flush()
    return {
        "header": content_of(many),
        "frame": content_of(wide),
        "mismatch": content_of(other),
        "deflated": head + body,
    }


@pytest.mark.parametrize("name", ["header", "frame", "mismatch", "deflated"])
def test_bombs_are_refused_before_they_are_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> NDArray[np.uint8]:
        raise AssertionError("decoded")

    monkeypatch.setattr("pydicom.pixels.pixel_array", decode)
    with pytest.raises(ImageRejectedError) as caught:
        decode_here(bombs()[name], "bomb.dcm")
    assert caught.value.code == ("damaged" if name == "mismatch" else "too_large")
    if name == "mismatch":
        assert "its header says 16x16 pixels but the data has 2000x1000" in str(caught.value)


def test_sizes_are_read_from_the_frames_of_every_jpeg() -> None:
    found = dataset_of(RAMP)
    found.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    for marker in (0xC0, 0xC3, 0xF7):  # baseline, lossless, JPEG-LS
        frame = b"\xff\xd8\xff\xe0\x00\x04ab\xff" + bytes([marker]) + b"\x00\x0b\x08" + b"\x01\x00\x02\x00" + bytes(8)
        found.PixelData = encapsulate([frame])
        assert frame_size(found) == (512, 256)


def test_nothing_about_the_patient_is_quoted(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = content_of(dataset_of(RAMP, 8, WindowCenter="200", WindowWidth="100", Modality="CR"))
    place = whole.find(b"DS\x04\x00200 ")
    assert place > 0
    wrong = whole[:place] + b"DS\x04\x00" + b"DOE^" + whole[place + 8 :]
    with caplog.at_level(logging.DEBUG):
        for content in (whole[:-100], wrong, whole.replace(b"CR", b"\xff\xfe"), whole.replace(b"1.2.3", b"DOE^J")):
            assert "DOE" not in rejection_text(content)
    assert "DOE" not in caplog.text
    assert not [warning for warning in recwarn.list if "DOE" in str(warning.message)]
    assert "DOE" not in "".join(capfd.readouterr())


def test_a_decoder_that_fails_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    log = StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    damaged = dataset_of(RAMP)
    damaged.file_meta.TransferSyntaxUID = JPEG2000
    damaged.PixelData = encapsulate([b"DOE^JANE" * 20])
    damaged["PixelData"].is_undefined_length = True
    content = content_of(damaged)
    with warnings.catch_warnings(record=True) as shown, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        rejections = list(pool.map(rejection_text, [content] * 40))
    assert all("cannot be decoded" in rejection and "DOE" not in rejection for rejection in rejections)
    logging.getLogger().removeHandler(handler)
    assert not shown
    assert log.getvalue() == ""
    assert "".join(capfd.readouterr()) == ""


def test_a_rejection_has_no_cause_that_quotes_the_header() -> None:
    content = content_of(dataset_of(RAMP, NumberOfFrames=7)).replace(b"IS\x02\x007 ", b"IS\x02\x00DO")
    with pytest.raises(ImageRejectedError, match="cannot be decoded") as caught:
        decode_here(content, "x.dcm")
    assert "DO" not in "".join(traceback.format_exception(caught.value)).replace("DOE", "")


def code_of(meaning: str) -> Sequence:
    code = Dataset()
    code.CodeMeaning = meaning
    return Sequence([code])


@pytest.mark.parametrize(
    ("tags", "lateral"),
    [
        ({"ViewPosition": "PA"}, False),
        ({"ViewPosition": "LL"}, True),
        ({"ViewPosition": "LATERAL"}, True),
        ({"ViewPosition": "LLD"}, False),  # lying on a side, but taken from the front
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, False),
        ({"ViewPosition": "", "ViewCodeSequence": code_of("left lateral")}, True),
        ({"ViewPosition": "", "ViewCodeSequence": code_of("postero-anterior")}, False),
        ({"ViewPosition": "", "ViewCodeSequence": code_of("left lateral decubitus")}, False),
    ],
)
def test_lateral_views_by_header(tags: dict[str, Any], lateral: bool) -> None:
    image = decode_image(content_of(dataset_of(RAMP, **tags)), "x.dcm")
    assert ("lateral" in {flag.code for flag in find_quality_flags(image, 16)}) == lateral


def test_without_pydicom_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageRejectedError, match="uv sync --extra dicom") as caught:
        decode_here(bytes(128) + b"DICM" + bytes(200), "x.dcm")
    assert not caught.value.permanent


@given(st.integers(0, 600), st.binary(min_size=1, max_size=8), st.integers(0, 200))
def test_damaged_files_are_rejected_and_nothing_else(place: int, bytes_: bytes, cut: int) -> None:
    whole = content_of(dataset_of(RAMP, WindowCenter=128, WindowWidth=256))
    damaged = (whole[:place] + bytes_ + whole[place + len(bytes_) :])[: len(whole) - cut]
    rejection = rejection_text(damaged)
    assert not rejection or "'x.dcm'" in rejection


@pytest.mark.skipif(not FILMS.is_dir(), reason="the real DICOM files are not here")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mono1-10bit-no-preamble.dcm", (440, 440)),
        ("mono1-15bit-jpeg2000.dcm", (1955, 1841)),
        ("mono2-8bit-jpeg.dcm", (1024, 1024)),
    ],
)
def test_real_films_have_bright_spines_and_dark_lungs(name: str, shape: tuple[int, int]) -> None:
    image = read_image(FILMS / name)
    assert image.pixels.shape == shape
    assert image.view_position == "PA"
    height, width = shape
    middle = image.pixels[int(0.35 * height) : int(0.6 * height)]
    spine = middle[:, int(0.45 * width) : int(0.5 * width)].mean()
    lungs = np.concatenate(
        [middle[:, int(0.2 * width) : int(0.33 * width)], middle[:, int(0.66 * width) : int(0.75 * width)]], 1
    )
    assert spine > lungs.mean() + 30


@pytest.mark.parametrize(("bits", "photometric"), [(8, "MONOCHROME2"), (10, "MONOCHROME1"), (15, "MONOCHROME1")])
def test_synthetic_films_have_bright_spines_and_dark_lungs(bits: int, photometric: str) -> None:
    gray = reference_image(256, "bilinear").astype(np.uint16)
    stored = (gray << (bits - 8)).astype(np.uint16 if bits > 8 else np.uint8)
    if photometric == "MONOCHROME1":
        stored = ((1 << bits) - 1 - stored.astype(np.int64)).astype(stored.dtype)
    image = decode_image(content_of(dataset_of(stored, bits, PhotometricInterpretation=photometric)), "x.dcm")
    assert image.pixels.shape == (256, 256)
    assert image.view_position == "PA"
    middle = image.pixels[90:154]
    spine, lungs = middle[:, 122:134].mean(), np.concatenate([middle[:, 64:84], middle[:, 172:192]], 1).mean()
    assert spine > lungs + 30
