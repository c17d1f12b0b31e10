"""What files are by their first bytes: DICOM without a preamble, and the kinds that are no images."""

import gzip
import json
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.dicom_signature import dicom_kind, is_dicom
from cxr_lightning.imaging.other_kinds import other_kind
from cxr_lightning.imaging.reader import decode_image
from cxr_lightning.imaging.signatures import SIGNATURE_BYTES, find_unreadable, is_image
from tests.unit.imaging.test_dicom import PYDICOMS, RAMP, content_of, dataset_of

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
FIRST: dict[str, dict[str, Any]] = {
    "(0008,0005)": {"SpecificCharacterSet": "ISO_IR 100"},
    "(0008,0008)": {"ImageType": ["ORIGINAL", "PRIMARY"]},
    "(0008,0020)": {"StudyDate": "20200101"},
    "(0010,0010)": {},
}
"""The first element of a file, and what makes it the first."""


def bare(syntax: UID, first: str) -> bytes:
    """A radiograph without preamble and meta data, whose first element is this one."""
    found = Dataset(dataset_of(RAMP))
    del found.SOPClassUID, found.SOPInstanceUID
    if first == "(0010,0010)":
        del found.Modality
    for name, value in FIRST[first].items():
        setattr(found, name, value)
    file = BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(file, found, implicit_vr=implicit, little_endian=little)
    return file.getvalue()


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("first", FIRST)
def test_dicom_without_a_preamble_is_known_by_any_first_element(syntax: UID, first: str, tmp_path: Path) -> None:
    content = bare(syntax, first)
    assert content[128:132] != b"DICM"
    assert is_image(content[:SIGNATURE_BYTES])
    np.testing.assert_array_equal(decode_image(content, "x").pixels, RAMP)
    (tmp_path / "x").write_bytes(content)
    assert find_unreadable([tmp_path / "x"]) == []


def test_meta_data_may_begin_at_the_first_byte() -> None:
    whole = content_of(dataset_of(RAMP))
    without_length = whole[132 + 12 :]
    for content in (whole[132:], without_length, whole[128:]):
        assert is_dicom(content[:SIGNATURE_BYTES])
        np.testing.assert_array_equal(decode_image(content, "x").pixels, RAMP)


def test_all_of_pydicoms_files_without_a_preamble_are_known() -> None:
    for name in ("ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "rtstruct.dcm"):
        assert is_dicom((PYDICOMS / name).read_bytes()[:SIGNATURE_BYTES])


@pytest.mark.parametrize(
    "head",
    [
        np.array([4, 0, 4, 0, 0, 0], "<i4").tobytes() * 20,  # Fortran's records
        np.array([8, 0, 8, 0, 0, 0], "<i4").tobytes() * 20,
        np.arange(8, 200, dtype="<u2").tobytes(),
        np.full(200, 8, "<u2").tobytes(),
        b"\x08\0" + bytes(300),
        b"\x08\0\x05\0CS",
        b"\0\x08\0\x05" + bytes(300),
    ],
)
def test_other_binary_files_are_no_dicom(head: bytes) -> None:
    assert not is_dicom(head)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 8, 16, 24, 32, 40]), st.booleans())
def test_random_bytes_after_a_group_are_no_dicom(seed: int, group: int, little: bool) -> None:
    noise = np.random.default_rng(seed).bytes(510)
    assert not is_dicom(group.to_bytes(2, "little" if little else "big") + noise)


def zip_of(name: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")
    return file.getvalue()


def tar_of() -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return file.getvalue()


def saved(save: Callable[[BytesIO], object]) -> bytes:
    file = BytesIO()
    save(file)
    return file.getvalue()


OTHERS = {
    "zip archive": zip_of("film.png"),
    "NumPy archive": saved(lambda file: np.savez(file, x=np.zeros(3))),
    "NumPy array": saved(lambda file: np.save(file, np.zeros(3))),
    "office document": zip_of("[Content_Types].xml"),
    "tar archive": tar_of(),
    "gzip file": gzip.compress(b"\x5c\x01"),
    "7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "rar archive": b"Rar!\x1a\x07\x01\0",
    "PDF document": b"%PDF-1.7\n%\xe2\xe3",
    "NIfTI volume": b"\x5c\x01\0\0" + bytes(340) + b"n+1\0",
    "Analyze header": b"\x5c\x01\0\0" + bytes(34) + b"r" + bytes(309),
    "NRRD volume": b"NRRD0004\ntype: short\n",
    "MetaImage header": b"ObjectType = Image\nNDims = 2\nDimSize = 3 3\n",
    "HDF5 file": b"\x89HDF\r\n\x1a\n\0",
    "HEIC image": b"\0\0\0\x18ftypheic\0\0\0\0",
    "AVIF image": b"\0\0\0\x18ftypavif\0\0\0\0",
    "video": b"\0\0\0\x18ftypisom\0\0\2\0",
    "PostScript file": saved(lambda file: Image.new("L", (4, 4)).save(file, "EPS")),
    "SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "JSON file": json.dumps([{"a": 1}]).encode(),
    "CSV table": "Bild;Patient\n1;Müller\n".encode("latin-1"),
    "text file": "Überweisung".encode(),
    "file of zero bytes": bytes(600),
    "program": b"\x7fELF\2\1\1",
    "database": b"SQLite format 3\0",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_kinds_that_are_no_images_are_named(kind: str, tmp_path: Path) -> None:
    content = OTHERS[kind]
    assert other_kind(content[:SIGNATURE_BYTES]) == kind
    assert not is_image(content[:SIGNATURE_BYTES])
    (tmp_path / "x.png").write_bytes(content)
    (found,) = find_unreadable([tmp_path / "x.png"])
    with pytest.raises(ImageRejectedError) as caught:
        decode_image(content, tmp_path / "x.png")
    assert str(found) == str(caught.value)
    assert f" {kind}, in no image format that is read here. " in str(found)
    assert found.code == "not_an_image"
    assert ("Unpack it first." in str(found)) == (kind.endswith("archive") or kind == "gzip file")


def test_pixels_are_no_text_and_noise_has_no_kind() -> None:
    assert other_kind(np.random.default_rng(0).bytes(400)) == ""
    assert other_kind("Bild\tPatient\n1\t2\n".encode("utf-16")) == "CSV table"
    assert other_kind("text file that is cut in a character ü".encode()[:-1]) == "text file"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DICOMDIR", "DICOMDIR file"),
        ("DICOMDIR-implicit", "DICOMDIR file"),
        ("reportsi.dcm", "structured report"),
        ("waveform_ecg.dcm", "waveform"),
        ("rtplan.dcm", "radiotherapy plan"),
        ("rtstruct.dcm", "radiotherapy structure set"),
        ("CT_small.dcm", ""),
        ("rtdose.dcm", ""),
        ("liver_1frame.dcm", ""),
    ],
)
def test_dicom_files_without_pixels_are_named_by_their_class(name: str, kind: str) -> None:
    path = next(PYDICOMS.rglob(name))
    assert dicom_kind(path.read_bytes()[:SIGNATURE_BYTES]) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[1] footnote", "text file"),
        ("[1]", "text file"),
        ("[1, 2] are cited", "text file"),
        ("[see below]", "text file"),
        ("{ not json }", "text file"),
        ("[1, 2, 3]\n", "JSON file"),
        ('{"a": 1}\n{"a": 2}\n', "JSON file"),
        (json.dumps({"a": list(range(400))}), "JSON file"),
        ("MZ is a name, of a patient whose doctor has written a letter of many words.", "text file"),
        ("PAR1 patient list", "text file"),
        ("#! not a program", "text file"),
        ("#!/bin/sh\n", "program"),
        ("Dear Dr. Smith,\nthank you, we saw the patient.\nKind regards,\n", "text file"),
        ("Hello, world\nGoodbye, world\n", "text file"),
        ("Dear Dr. Smith,\nthank you,\n", "text file"),
        ("a, b, c\n1, 2, 3\n", "CSV table"),
        ('name,findings\n"Doe, Jane","a, b"\n', "CSV table"),
        ("path,label\n1.png,Edema\n2.png,\n", "CSV table"),
        ("image,patient\n" + "a.png,17\n" * 99, "CSV table"),
        ("<!DOCTYPE html>\n<html>", "HTML page"),
        ("<html lang='en'><body>", "HTML page"),
        ("<?xml version='1.0'?><a/>", "XML file"),
        ("<note>x</note>", "XML file"),
        ("<jane@doe.org> wrote", "text file"),
    ],
)
def test_texts_are_named_by_more_than_their_first_characters(text: str, kind: str) -> None:
    assert other_kind(text.encode()[:SIGNATURE_BYTES]) == kind


def test_binary_kinds_have_a_second_sign() -> None:
    assert other_kind(b"PAR1\x15\x04\x15\x0c") == "Parquet file"
    assert other_kind(b"MZ\x90\0\3\0" + bytes(60)) == "program"
