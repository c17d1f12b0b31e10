"""DICOM values that cannot be read, windows that do not fit, stale bits, files that are cut off or have no pixels."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from cxr_lightning.imaging.bit_depth import unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.dicom_cut_off import cut_off_in
from cxr_lightning.imaging.dicom_signature import is_dicom
from cxr_lightning.imaging.dicom_unused_bits import mask_unused_bits
from cxr_lightning.imaging.reader import decode_image
from cxr_lightning.phantom.reference_image import reference_image
from tests.unit.imaging.test_dicom import RAMP, content_of, dataset_of, gray_of, rejection_text, table_of

FILM = (reference_image(128, "bilinear").astype(np.uint16) * 16).clip(0, 4095)
"""A synthetic film of 12 bits."""


def image_of(content: bytes, **options: Any) -> DecodedImage:
    return decode_image(content, "x.dcm", **options)


def codes_of(image: DecodedImage) -> list[str]:
    return [flag.code for flag in image.flags]


def with_text(name: str, vr: bytes, place_holder: str, text: bytes, **tags: Any) -> bytes:
    """A file in whose element of this value other bytes stand."""
    elements: dict[str, Any] = {name: place_holder, **tags}
    whole = content_of(dataset_of(RAMP, **elements))
    held = place_holder.encode()
    old = vr + struct.pack("<H", len(held) + len(held) % 2) + held + b" " * (len(held) % 2)
    assert whole.count(old) == 1
    return whole.replace(old, vr + struct.pack("<H", len(text)) + text)


@pytest.mark.parametrize(
    ("content", "tag"),
    [
        (with_text("WindowCenter", b"DS", "128", b"128,0 ", WindowWidth=256), "WindowCenter (0028,1050)"),
        (with_text("WindowWidth", b"DS", "256", b"256,", WindowCenter=128), "WindowWidth (0028,1051)"),
        (with_text("WindowWidth", b"DS", "256", b"DOE^", WindowCenter=128), "WindowWidth (0028,1051)"),
        (with_text("RescaleSlope", b"DS", "1", b"1,00", RescaleIntercept=0), "RescaleSlope (0028,1053)"),
        (with_text("RescaleIntercept", b"DS", "0", b"-,", RescaleSlope=1), "RescaleIntercept (0028,1052)"),
        (with_text("WindowCenter", b"DS", "128", b"nan ", WindowWidth=256), "WindowCenter (0028,1050)"),
        (with_text("VOILUTFunction", b"CS", "LINEAR", b"CURVED"), "VOILUTFunction (0028,1056)"),
        (content_of(dataset_of(RAMP, VOILUTSequence=table_of(np.zeros(0, int), 12))), "VOILUTSequence (0028,3010)"),
        (content_of(dataset_of(RAMP, VOILUTSequence=table_of(np.arange(4), 99))), "VOILUTSequence (0028,3010)"),
    ],
)
def test_an_optional_value_that_cannot_be_read_is_ignored_and_named(content: bytes, tag: str) -> None:
    found = image_of(content)
    np.testing.assert_array_equal(found.pixels, RAMP)
    (flag,) = found.flags
    assert flag.code == "ignored_value"
    assert flag.message == f"what its header says in {tag} cannot be read and was ignored"


def test_padding_of_a_wrong_length_is_ignored() -> None:
    whole = content_of(dataset_of(RAMP, PixelPaddingValue=7))
    place = whole.index(struct.pack("<HH", 0x0028, 0x0120))
    found = image_of(whole[: place + 6] + b"\x03\0abc" + whole[place + 10 :])
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert codes_of(found) == ["ignored_value"]


def test_without_the_modalitys_line_its_window_means_nothing() -> None:
    tags = {"RescaleIntercept": 0, "WindowCenter": 5000, "WindowWidth": 900}
    found = image_of(with_text("RescaleSlope", b"DS", "2", b"2,5 ", **tags))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert "RescaleSlope" in found.flags[0].message


@pytest.mark.parametrize(
    ("tag", "number"), [("Rows", 0x0010), ("BitsAllocated", 0x0100), ("PixelRepresentation", 0x0103)]
)
def test_a_required_value_that_cannot_be_read_is_named(tag: str, number: int) -> None:
    whole = content_of(dataset_of(RAMP))
    place = whole.index(struct.pack("<HH", 0x0028, number))
    for length, value in ((3, b"abc"), (4, b"\1\0\2\0")):
        damaged = whole[: place + 6] + struct.pack("<H", length) + value + whole[place + 10 :]
        assert f"what its header says in {tag} (0028,{number:04X}) cannot be read" in rejection_text(damaged)


@pytest.mark.parametrize("name", ["BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation"])
def test_a_required_value_that_is_missing_is_named(name: str) -> None:
    found = dataset_of(RAMP)
    delattr(found, name)
    assert f"its header has no {name} (0028,01" in rejection_text(content_of(found)).replace("(0028,00", "(0028,01")


@pytest.mark.parametrize(
    ("center", "width"),
    [(127, 256), (20, 40), (4000, 100), (32768, 65536), (500, 400), (100000, 50)],
)
def test_a_window_of_another_scale_is_not_used(center: int, width: int) -> None:
    plain = gray_of(dataset_of(FILM, 12))
    found = image_of(content_of(dataset_of(FILM, 12, WindowCenter=center, WindowWidth=width)))
    np.testing.assert_array_equal(found.pixels, plain)
    (flag,) = found.flags
    assert flag.code == "window"
    assert flag.message.endswith("was not used: the full range of the values was used instead")


def test_the_next_window_is_used_if_the_first_clips_most_of_the_film() -> None:
    second = gray_of(dataset_of(FILM, 12, WindowCenter=2000, WindowWidth=3500))
    tags = {"WindowCenter": [127, 2000], "WindowWidth": [256, 3500]}
    found = image_of(content_of(dataset_of(FILM, 12, **tags)))
    np.testing.assert_array_equal(found.pixels, second)
    assert found.flags[0].message.endswith("window 2 was used instead")
    padded = np.vstack([np.full((200, 128), 60000, np.uint16), FILM])  # more padding than film
    both = image_of(content_of(dataset_of(padded, 16, PixelPaddingValue=60000, **tags)))
    np.testing.assert_array_equal(both.pixels[200:], second)


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.1, 0.2])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("border", [0, 40, 90])
def test_a_sensible_window_is_used(fraction: float, photometric: str, border: int) -> None:
    low, high = np.quantile(FILM, [fraction, 1 - fraction])
    tags = {"WindowCenter": (low + high) / 2, "WindowWidth": high - low + 1, "PhotometricInterpretation": photometric}
    film = FILM.copy()
    film[:border] = np.random.default_rng(0).integers(0, 12, film[:border].shape)  # a border that is not all the same
    found = image_of(content_of(dataset_of(film, 12, **tags)))
    by_hand = ((film - low) / (high - low)).clip(0, 1) * 255
    by_hand = 255 - by_hand if photometric == "MONOCHROME1" else by_hand
    assert found.flags == ()
    assert np.abs(found.pixels - by_hand).max() <= 1.5


def test_the_narrow_windows_of_tomography_are_used() -> None:
    tags = {"Modality": "CT", "WindowCenter": 300, "WindowWidth": 100}
    assert image_of(content_of(dataset_of(FILM, 12, **tags)), force=True).flags == ()


def marked(film: NDArray[np.uint16], bit: int, where: NDArray[np.bool_]) -> NDArray[np.uint16]:
    return np.where(where, film | np.uint16(1 << bit), film).astype(np.uint16)


LETTERS = np.zeros(FILM.shape, bool)
LETTERS[5:12, 5:60:3] = True
SPOTS = np.random.default_rng(0).random(FILM.shape) < 0.1
ALL = np.ones(FILM.shape, bool)


@pytest.mark.parametrize("bit", [12, 13, 15])
@pytest.mark.parametrize("where", [LETTERS, SPOTS, ALL, LETTERS | SPOTS], ids=["letters", "spots", "all", "both"])
def test_stale_bits_are_masked(bit: int, where: NDArray[np.bool_]) -> None:
    found = image_of(content_of(dataset_of(marked(FILM, bit, where), 12)))
    np.testing.assert_array_equal(found.pixels, gray_of(dataset_of(FILM, 12)))
    assert [*found.flags] == [("stale_bits", "bits above the 12 that its header declares were set and were masked")]


@pytest.mark.parametrize("factor", [2, 4, 15])
def test_values_that_go_on_above_the_declared_bits_are_kept(factor: int) -> None:
    large = (FILM.astype(int) * factor).astype(np.uint16)
    found = image_of(content_of(dataset_of(large, 12)))
    assert found.flags == ()
    np.testing.assert_array_equal(found.pixels, unsigned_to_8_bits(large, 12))


def test_a_few_values_above_the_declared_bits_are_kept() -> None:
    large = (FILM * (4150 / FILM.max())).astype(np.uint16)  # the brightest alone
    assert 0 < (large > 4095).mean() < 0.2
    found = image_of(content_of(dataset_of(large, 12)))
    assert found.flags == ()
    assert (np.diff(found.pixels.ravel()[np.argsort(large, axis=None)].astype(int)) >= 0).all()


def test_bits_above_those_of_signed_pixels_are_their_sign_or_stale() -> None:
    signed = (FILM.astype(int) - 2048).astype(np.int16)
    zeros_above = (signed & 0x0FFF).astype(np.int16)
    expected = gray_of(dataset_of(signed, 12))
    for stored, codes in ((signed, []), (zeros_above, []), (np.where(SPOTS, signed ^ 0x4000, signed), ["stale_bits"])):
        found = image_of(content_of(dataset_of(stored.astype(np.int16), 12)))
        np.testing.assert_array_equal(found.pixels, expected)
        assert codes_of(found) == codes


def test_bits_of_a_declared_overlay_are_no_stale_ones() -> None:
    film = dataset_of(marked(FILM, 12, LETTERS), 12)
    film.add_new((0x6000, 0x0102), "US", 12)
    found = image_of(content_of(film))
    np.testing.assert_array_equal(found.pixels, gray_of(dataset_of(FILM, 12)))
    assert found.flags == ()


@given(st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_masked_bits_are_none_of_the_declared_ones(bits: int, seed: int) -> None:
    dataset = Dataset()
    dataset.BitsStored = bits
    stored = np.random.default_rng(seed).integers(0, 65536, (9, 9)).astype(np.uint16)
    values, _ = mask_unused_bits(stored, dataset)
    assert np.array_equal(values, stored) or np.array_equal(values, stored % (1 << bits))


@pytest.mark.parametrize("text", ["FOR PROCESSING", "for processing ", " For  Processing"])
def test_raw_images_are_named(text: str) -> None:
    found = image_of(content_of(dataset_of(RAMP, PresentationIntentType=text)))
    assert codes_of(found) == ["for_processing"]
    assert "not meant for display" in found.flags[0].message
    assert image_of(content_of(dataset_of(RAMP, PresentationIntentType="FOR PRESENTATION"))).flags == ()


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "", "SeriesDescription": "Chest PA"}, "PA"),
        ({"ViewPosition": "", "SeriesDescription": "view: LATERAL"}, "LATERAL"),
        ({"ViewPosition": "", "ProtocolName": "Thorax a.p."}, "AP"),
        ({"ViewPosition": "", "SeriesDescription": "PA and lateral"}, ""),
        ({"ViewPosition": "AP", "SeriesDescription": "Chest lateral"}, "AP"),
        ({"ViewPosition": "LLD", "SeriesDescription": ""}, ""),
        ({"ViewPosition": "DOE^JANE"}, ""),
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, "LATERAL"),
    ],
)
def test_the_view_is_read_from_what_states_it(tags: dict[str, Any], view: str) -> None:
    assert image_of(content_of(dataset_of(RAMP, **tags))).view_position == view


def compressed() -> bytes:
    found = dataset_of(np.tile(RAMP, (8, 8)))
    found.compress(RLELossless)
    return content_of(found)


def undefined_sequence() -> bytes:
    item = Dataset()
    item.CodeMeaning = "chest"
    item.is_undefined_length_sequence_item = True
    found = dataset_of(RAMP, AnatomicRegionSequence=Sequence([item]))
    found["AnatomicRegionSequence"].is_undefined_length = True
    return content_of(found)


def in_syntax(syntax: UID) -> Callable[[], bytes]:
    def make() -> bytes:
        found = dataset_of(RAMP)
        found.file_meta.TransferSyntaxUID = syntax
        found.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
        return content_of(found)

    return make


WHOLE: dict[str, Callable[[], bytes]] = {
    "plain": lambda: content_of(dataset_of(RAMP)),
    "compressed": compressed,
    "undefined length": undefined_sequence,
    "implicit": in_syntax(ImplicitVRLittleEndian),
    "big endian": in_syntax(ExplicitVRBigEndian),
    "deflated": in_syntax(DeflatedExplicitVRLittleEndian),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_cut_off_anywhere_is_named_as_that(name: str) -> None:
    whole = WHOLE[name]()
    assert cut_off_in(whole) == ""
    assert image_of(whole).pixels.size
    for kept in [133, 150, 200, *range(300, len(whole) - 9, max(1, len(whole) // 12)), len(whole) - 9]:
        with pytest.raises(ImageRejectedError) as caught:
            image_of(whole[:kept])
        at_boundary = caught.value.code == "no_pixels" and not cut_off_in(whole[:kept])
        assert at_boundary or caught.value.code == "cut_off", kept
        assert ("it may be cut off" if at_boundary else "is cut off") in str(caught.value)
        assert str(caught.value).endswith("Get it again.")


@pytest.mark.parametrize(
    ("sop_class", "modality", "words"),
    [
        ("1.2.840.10008.1.3.10", "", "it is a DICOMDIR file"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "it is a presentation state"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "SR", "it is a structured report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "KO", "it is a key object selection"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "it is a PDF document in DICOM"),
        ("1.2.3", "SR", "it is a structured report"),
        ("1.2.3", "CR", "has no pixels. Export the image itself."),
        *(
            (f"1.2.840.10008.5.1.4.1.1.{number}", "CR", "has no pixels: it may be cut off. Get it again.")
            for number in ("1", "1.1", "1.1.1", "1.2", "2", "4", "7", "7.2", "12.1", "128")
        ),
        ("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", "has no pixels. Export the image itself."),
    ],
)
def test_a_file_without_pixels_says_what_it_is(sop_class: str, modality: str, words: str) -> None:
    found = dataset_of(RAMP, SOPClassUID=sop_class, Modality=modality)
    found.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    for name in ("PixelData", "Rows", "Columns"):
        delattr(found, name)
    with pytest.raises(ImageRejectedError, match="has no pixels") as caught:
        image_of(content_of(found))
    assert words in str(caught.value)
    assert caught.value.code == "no_pixels"


def test_a_frame_that_is_damaged_is_not_cut_off() -> None:
    damaged = dataset_of(RAMP)
    damaged.file_meta.TransferSyntaxUID = RLELossless
    damaged.PixelData = encapsulate([bytes(10)])
    damaged["PixelData"].is_undefined_length = True
    assert "cannot be decoded" in rejection_text(content_of(damaged))


COMMA = content_of(dataset_of(FILM, 12, WindowCenter="2047.5", WindowWidth="4096")).replace(b"2047.5", b"2047,5")
ONE_FILM: dict[str, tuple[bytes, list[str]]] = {
    "decimal comma": (COMMA, ["ignored_value"]),
    "letters in a high bit": (content_of(dataset_of(marked(FILM, 15, LETTERS), 12)), ["stale_bits"]),
    "window of 8 bits": (content_of(dataset_of(FILM, 12, WindowCenter=128, WindowWidth=256)), ["window"]),
    "modality XR": (content_of(dataset_of(FILM, 12, Modality="XR")), []),
}


@pytest.mark.parametrize("name", ONE_FILM)
def test_defects_of_one_film_leave_one_image(name: str) -> None:
    content, codes = ONE_FILM[name]
    found = image_of(content, force=name == "modality XR")
    np.testing.assert_array_equal(found.pixels, gray_of(dataset_of(FILM, 12)))
    assert codes_of(found) == codes


def test_a_raw_film_in_monochrome1_is_named() -> None:
    raw = dataset_of(4095 - FILM, 12, PhotometricInterpretation="MONOCHROME1", PresentationIntentType="FOR PROCESSING")
    found = image_of(content_of(raw))
    np.testing.assert_array_equal(found.pixels, gray_of(dataset_of(FILM, 12)))
    assert codes_of(found) == ["for_processing"]


WIDE = gray_of(dataset_of(FILM, 12, WindowCenter=2000, WindowWidth=3500))


@pytest.mark.parametrize(
    ("centers", "widths"),
    [
        ([2000, 2000], [0, 3500]),
        ([2000, 2000], [-4, 3500]),
        (["", 2000], [300, 3500]),
        ([2000, 2000, 2000], [0, 0, 3500]),
        ([2000, 2000], [3500, 0]),
        ([2000, 500], [3500]),
        ([2000], [3500, 90]),
    ],
)
@pytest.mark.parametrize("modality", ["CR", "CT"])
def test_windows_are_looked_at_one_by_one(centers: list[Any], widths: list[Any], modality: str) -> None:
    found = image_of(
        content_of(dataset_of(FILM, 12, WindowCenter=centers, WindowWidth=widths, Modality=modality)), force=True
    )
    np.testing.assert_array_equal(found.pixels, WIDE)
    (flag,) = found.flags
    tags = "WindowCenter (0028,1050), WindowWidth (0028,1051)"
    assert flag == ("ignored_value", f"what its header says in {tags} cannot be used and was ignored")


def test_one_of_several_numbers_may_be_no_number() -> None:
    found = content_of(dataset_of(FILM, 12, WindowCenter=["1111", "2000"], WindowWidth=[1, 3500]))
    assert b"1111\\2000" in found
    image = image_of(found.replace(b"1111\\", b"11,1\\"))
    np.testing.assert_array_equal(image.pixels, WIDE)
    assert codes_of(image) == ["ignored_value"]


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"WindowCenter": 128, "WindowWidth": 0}, ["WindowCenter", "WindowWidth"]),
        ({"WindowCenter": 128, "WindowWidth": 0.5}, ["WindowCenter", "WindowWidth"]),
        ({"WindowCenter": [1, 2], "WindowWidth": [0, 0]}, ["WindowCenter", "WindowWidth"]),
        ({"WindowCenter": 128}, ["WindowCenter"]),
        ({"WindowWidth": 256, "WindowCenter": None}, ["WindowWidth"]),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, ["RescaleSlope"]),
        ({"RescaleIntercept": -1024}, ["RescaleIntercept"]),
    ],
)
def test_a_value_that_makes_no_image_is_ignored_and_named(tags: dict[str, Any], named: list[str]) -> None:
    found = image_of(content_of(dataset_of(RAMP, **tags)))
    np.testing.assert_array_equal(found.pixels, RAMP)
    (flag,) = found.flags
    assert flag.code == "ignored_value"
    assert "cannot be used" in flag.message
    assert [name for name in (*tags, "WindowCenter") if f"{name} (0028" in flag.message][: len(named)] == named


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": None, "WindowWidth": None},
        {"RescaleSlope": 1},
        {"RescaleIntercept": 0},
        {"VOILUTSequence": Sequence([])},
        {"VOILUTSequence": Sequence([Dataset()])},
        {"WindowCenter": 128, "WindowWidth": 256, "VOILUTFunction": " linear"},
        {"HighBit": None},
    ],
)
def test_what_states_nothing_has_no_flag(tags: dict[str, Any]) -> None:
    found = image_of(content_of(dataset_of(RAMP, **tags)))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert found.flags == ()


def test_a_table_without_entries_is_ignored_and_named() -> None:
    table = table_of(np.arange(256), 8)
    del table[0].LUTData
    found = image_of(content_of(dataset_of(RAMP, VOILUTSequence=table)))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert "VOILUTSequence (0028,3010) cannot be used" in found.flags[0].message


@pytest.mark.parametrize("high_bit", [0, 7, 12, 14, 15, 16, 31, 65535])
def test_a_wrong_high_bit_is_ignored(high_bit: int) -> None:
    film = (FILM + np.arange(FILM.size).reshape(FILM.shape) % 16).astype(np.uint16)  # with low bits
    plain = gray_of(dataset_of(film, 12))
    found = image_of(content_of(dataset_of(film, 12, HighBit=high_bit)))
    np.testing.assert_array_equal(found.pixels, plain)
    message = "what its header says in HighBit (0028,0102) does not fit its pixels and was ignored"
    assert [*found.flags] == [("ignored_value", message)]
    stale = image_of(content_of(dataset_of(marked(film, 13, SPOTS), 12, HighBit=high_bit)))
    np.testing.assert_array_equal(stale.pixels, plain)
    assert codes_of(stale) == ["stale_bits"]
    signed = image_of(content_of(dataset_of(film.astype(np.int16) - 2048, 12, HighBit=high_bit)))
    np.testing.assert_array_equal(signed.pixels, gray_of(dataset_of(film.astype(np.int16) - 2048, 12)))


def test_values_at_the_upper_end_have_no_flag_even_above_an_overlay() -> None:
    film = dataset_of(FILM * 16, 12, HighBit=15)
    assert image_of(content_of(film)).flags == ()
    drawn = dataset_of(FILM * 16 + LETTERS * np.uint16(4), 12, HighBit=15)
    drawn.add_new((0x6000, 0x0102), "US", 2)
    found = image_of(content_of(drawn))
    assert found.flags == ()
    assert np.abs(found.pixels.astype(int) - image_of(content_of(film)).pixels).max() <= 1


@pytest.mark.parametrize("name", ["plain", "undefined length", "implicit", "big endian"])
def test_a_film_that_ends_between_two_elements_may_be_cut_off(name: str) -> None:
    whole = WHOLE[name]()
    ends = [kept for kept in range(200, len(whole) - 300) if not cut_off_in(whole[:kept])]
    assert len(ends) > 5
    for kept in ends:
        with pytest.raises(ImageRejectedError) as caught:
            image_of(whole[:kept])
        assert "its DICOM data has no pixels: it may be cut off. Get it again." in str(caught.value)


def test_an_image_for_processing_is_known_by_its_class_too() -> None:
    for tags in (
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"},
        {"PresentationIntentType": "FOR_PROCESSING"},
        {"PresentationIntentType": "for  processing "},
    ):
        assert codes_of(image_of(content_of(dataset_of(FILM, 12, **tags)))) == ["for_processing"]
    assert codes_of(image_of(content_of(dataset_of(FILM, 12, PresentationIntentType="FOR PRESENTATION")))) == []


def test_the_photometric_interpretation_is_read_in_any_case_and_missed_by_name() -> None:
    plain = image_of(content_of(dataset_of(FILM, 12)))
    mixed = image_of(content_of(dataset_of(FILM, 12, PhotometricInterpretation="Monochrome2 ")))
    np.testing.assert_array_equal(mixed.pixels, plain.pixels)
    bare = dataset_of(FILM, 12)
    del bare.PhotometricInterpretation
    with pytest.raises(ImageRejectedError, match=r"has no PhotometricInterpretation \(0028,0004\)\. Export it again"):
        image_of(content_of(bare))


EXPLICIT = b"".join(struct.pack("<HH2sHH", 0x28, element, b"US", 2, 16) for element in (0x10, 0x11, 0x100))
IMPLICIT = b"".join(struct.pack("<HHIH", 0x28, element, 2, 16) for element in (0x10, 0x11, 0x100))


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<HHI", 8, 5, 0) + struct.pack("<HHI", 8, 8, 16) + rb"ORIGINAL\PRIMARY" + IMPLICIT,
        struct.pack("<HH2sH", 9, 0x10, b"LO", 4) + b"ACME" + EXPLICIT,
        struct.pack("<HH2sH", 0x12, 0x40, b"LO", 4) + b"TRIA" + EXPLICIT,
    ],
)
def test_a_file_without_preamble_is_known_by_any_first_element(content: bytes) -> None:
    assert is_dicom(content)
