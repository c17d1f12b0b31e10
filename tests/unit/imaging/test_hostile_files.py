"""Image files that crash, stall or fill a decoder: one rejection within the limits, and the next file is read."""

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, RLELossless

from cxr_lightning.imaging import isolated
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.plain_files import is_plain
from cxr_lightning.imaging.reader import decode_image
from cxr_lightning.utils.limited_process import LimitedFunction, Limits
from tests.unit.imaging.failing_decoder import QUOTED
from tests.unit.imaging.test_dicom import RAMP, content_of, dataset_of

GOOD = content_of(dataset_of(RAMP))
DEFLATED, EXPLICIT = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0"
PREAMBLE = bytes(128) + b"DICM"
HEADER_BYTES = b"\xfe\xff\x00\xe0"


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    length = struct.pack("<HI", 0, len(value)) if vr in (b"OB", b"SQ") else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + vr + length + value


def implicit(group: int, number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


def inflates_to(megabytes: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(megabytes)) + squeeze.flush()


def group_length(value: int) -> bytes:
    return element(2, 0, b"UL", struct.pack("<I", value))


SYNTAX = element(2, 0x10, b"UI", DEFLATED)
DEFLATED_HEADS = {
    "after a long element": PREAMBLE + group_length(9) + element(2, 0x102, b"OB", bytes(8000)) + SYNTAX,
    "wrong group length": PREAMBLE + group_length(99_999) + SYNTAX,
    "no group length": PREAMBLE + SYNTAX,
    "no preamble": group_length(30) + SYNTAX,
    "implicit": PREAMBLE + implicit(2, 0, struct.pack("<I", 30)) + implicit(2, 0x10, DEFLATED),
}


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return inflates_to(400)


@pytest.mark.parametrize("name", DEFLATED_HEADS)
def test_a_deflated_bomb_is_bounded_wherever_its_syntax_stands(name: str, bomb: bytes) -> None:
    with pytest.raises(ImageRejectedError, match=r"larger than 320,000,000 bytes when it is not") as caught:
        decode_image(DEFLATED_HEADS[name] + bomb, "x.dcm")
    assert caught.value.code == "too_large"


def nested(depth: int) -> bytes:
    return (b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + HEADER_BYTES + b"\xff\xff\xff\xff") * depth


def run_length(*lengths: int) -> bytes:
    return struct.pack("<16I", len(lengths), *lengths, *[0] * (15 - len(lengths))) + b"\x81\x00" * 1000


def compressed(syntax: Any, frame: bytes, **tags: Any) -> bytes:
    found = dataset_of(RAMP, **tags)
    found.file_meta.TransferSyntaxUID = syntax
    found.PixelData = encapsulate([frame])
    found["PixelData"].is_undefined_length = True
    return content_of(found)


def jpeg_2000(tiles: int) -> bytes:
    """A code stream of 8,000 x 8,000 pixels in tiles of one pixel."""
    size = struct.pack(">HHIIIIIIIIHBBB", 41, 0, 8000, 8000, 0, 0, 1, 1, 0, 0, 1, 7, 1, 1)
    coding = struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 5, 4, 4, 0, 1)
    steps = struct.pack(">HB", 19, 0x40) + b"\x48" * 16
    head = b"\xff\x4f\xff\x51" + size + b"\xff\x52" + coding + b"\xff\x5c" + steps
    parts = (struct.pack(">HHHIBB", 0xFF90, 10, number, 14, 0, 1) + b"\xff\x93" for number in range(tiles))
    return head + b"".join(parts) + b"\xff\xd9"


META = PREAMBLE + element(2, 0x10, b"UI", EXPLICIT)
DICOM_BOMBS: dict[str, Callable[[], bytes]] = {
    "nested sequences": lambda: META + nested(20_000),
    "sequence without end": lambda: META + nested(1) + HEADER_BYTES * 2,
    "65,535 x 65,535": lambda: content_of(dataset_of(RAMP, Rows=65535, Columns=65535)),
    "64 bits": lambda: content_of(dataset_of(RAMP, BitsAllocated=64, BitsStored=64, HighBit=63)),
    "frames": lambda: content_of(dataset_of(RAMP, NumberOfFrames=2**31 - 1)),
    "compressed frames": lambda: compressed(JPEG2000, bytes(64), NumberOfFrames=2**31 - 1),
    "run lengths": lambda: compressed(RLELossless, run_length(*[64] * 15)),
    "tiles": lambda: compressed(JPEG2000, jpeg_2000(50_000), Rows=8000, Columns=8000),
}


@pytest.mark.parametrize("name", DICOM_BOMBS)
def test_a_hostile_dicom_file_is_one_rejection_and_the_next_file_is_read(name: str) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        decode_image(DICOM_BOMBS[name](), "x.dcm", force=True)
    assert caught.value.code in ("damaged", "too_large", "no_pixels", "cut_off")
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(decode_image(GOOD, "y.dcm", force=True).pixels, RAMP)


@pytest.mark.parametrize(
    "tags",
    [
        {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0},
        {"WindowCenter": [1] * 3000, "WindowWidth": [9] * 3000},
        {"WindowCenter": "1e300", "WindowWidth": "1e308"},
        {"RescaleSlope": "1e308", "RescaleIntercept": "1e308", "WindowCenter": 1, "WindowWidth": 2},
        {"PixelData": bytes(257)},
    ],
)
def test_odd_elements_are_no_bombs(tags: dict[str, Any]) -> None:
    assert decode_image(content_of(dataset_of(RAMP, **tags)), "x.dcm").pixels.shape == (16, 16)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


SMALL = Image.fromarray(RAMP)
PNG, JPEG = encode(SMALL, "PNG"), encode(SMALL, "JPEG")
AFTER_HEADER = 33
ZEROS = zlib.compress(bytes(50_000_000))


def with_chunk(kind: bytes, content: bytes) -> bytes:
    return PNG[:AFTER_HEADER] + chunk(kind, content) + PNG[AFTER_HEADER:]


def with_segment(marker: int, content: bytes, count: int = 1) -> bytes:
    return JPEG[:2] + (struct.pack(">HH", 0xFF00 | marker, len(content) + 2) + content) * count + JPEG[2:]


@pytest.mark.parametrize(
    ("content", "plain"),
    [
        (PNG, True),
        (with_chunk(b"tEXt", b"Software\0x"), True),
        (with_chunk(b"tEXt", b"Raw profile type exif\0x"), False),
        (with_chunk(b"tEXt", b"Raw profile type xmp\0x"), False),
        (with_chunk(b"tEXt", b"XML:com.adobe.xmp\0x"), False),
        (with_chunk(b"tEXt", b"exif\0x"), False),
        (JPEG, True),
        (with_segment(0xFE, b"a comment"), True),
        (with_chunk(b"zTXt", b"n\0\0" + ZEROS), False),
        (with_chunk(b"iCCP", b"n\0\0" + ZEROS), False),
        (with_chunk(b"eXIf", bytes(9)), False),
        (with_chunk(b"acTL", struct.pack(">II", 1, 0)), False),
        (with_chunk(b"tEXt", b"Comment\0" + bytes(1 << 21)), False),
        (PNG[:AFTER_HEADER] + chunk(b"tIME", b"") * 21_000 + PNG[AFTER_HEADER:], False),
        (PNG[:-12], False),
        (PNG[:24] + b"\x10\x02" + PNG[26:], False),
        (PNG[:24] + b"\x10\x00" + PNG[26:], True),
        (with_segment(0xE1, b"Exif\0\0II*\0"), False),
        (with_segment(0xE2, b"MPF\0"), False),
        (with_segment(0xFE, b"", 200), False),
        (JPEG[:2] + b"\0" * 9 + JPEG[2:], False),
        (encode(SMALL, "JPEG", progressive=True), False),
        (encode(SMALL, "TIFF"), False),
        (encode(SMALL, "BMP"), False),
    ],
)
def test_only_plain_pngs_and_jpegs_are_decoded_in_this_process(content: bytes, plain: bool) -> None:
    assert is_plain(content) == plain


def tiff(*entries: tuple[int, int, int, int]) -> bytes:
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)


SIDES = ((256, 4, 1, 8000), (257, 4, 1, 8000), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1))
PILLOW_BOMBS = {
    "zTXt": with_chunk(b"zTXt", b"n\0\0" + ZEROS),
    "iTXt": with_chunk(b"iTXt", b"n\0\1\0\0\0" + ZEROS),
    "iCCP": with_chunk(b"iCCP", b"n\0\0" + ZEROS),
    "TIFF: LZW": tiff(*SIDES, (259, 3, 1, 5), (273, 4, 1, 8), (278, 4, 1, 8000), (279, 4, 1, 90)),
    "TIFF: many strips": tiff(*SIDES, (259, 3, 1, 1), (273, 4, 2**30, 8), (278, 4, 1, 1), (279, 4, 2**30, 8)),
    "BigTIFF": b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**60) + bytes(100),
    "JPEG 2000": jpeg_2000(50_000),
    "PPM": b"P5\n" + b"1" * 1_000_000,
    "BMP": b"BM" + struct.pack("<IHHIIiiHHIIIIII", 0, 0, 0, 54, 40, 60_000, 60_000, 1, 8, 0, 0, 0, 0, 0, 0),
    "GIF": b"GIF89a" + struct.pack("<HHBBB", 9999, 9999, 0, 0, 0) + b"\x21\xfe\x01a\0" * 100_000,
}


@pytest.mark.parametrize("name", PILLOW_BOMBS)
def test_a_hostile_image_is_one_rejection_and_the_next_file_is_read(name: str) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        decode_image(PILLOW_BOMBS[name], "x")
    assert caught.value.code in ("damaged", "too_large", "not_an_image")
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(decode_image(encode(SMALL, "BMP"), "y").pixels, RAMP)


@pytest.fixture
def failing_decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    limits = Limits(memory=1 << 30, seconds=5, file_bytes=1 << 20)
    function = LimitedFunction("failing_decoder", "answer_badly", limits)
    monkeypatch.setattr(isolated, "_decode", function)
    monkeypatch.setattr(isolated, "is_dicom", lambda head: b"dicom" in head)
    monkeypatch.setattr(isolated, "image_format", lambda head: "TIFF")
    yield
    function.close()


@pytest.mark.usefixtures("failing_decoder")
@pytest.mark.parametrize(
    ("task", "code", "reason"),
    [
        (b"crash", "damaged", "it cannot be decoded (the library that reads it ended with signal 11)"),
        (b"exit", "damaged", f"status 3 and no answer ({QUOTED})"),
        (b"crash dicom", "damaged", "its DICOM data cannot be decoded (the decoder ended)"),
        (b"exit dicom", "damaged", "its DICOM data cannot be decoded (the decoder ended)"),
        (b"print", "damaged", "it cannot be decoded (OSError: [Errno 27] File too large)"),
        (b"memory", "too_large", "it takes more than 1,024 MiB of memory to decode"),
    ],
)
def test_a_decoder_that_ends_is_a_rejection_that_may_be_tried_again(task: bytes, code: str, reason: str) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        isolated.decode_isolated(task, "x")
    assert caught.value.code == code
    assert reason in str(caught.value)
    assert not caught.value.permanent
    assert (QUOTED in str(caught.value)) == (task == b"exit")


def test_threads_decode_at_once() -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(decode_image(GOOD, "x").pixels)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all((pixels == RAMP).all() and pixels.flags.writeable for pixels in found)


def test_no_module_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "pydicom", "numpy", "PIL"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    isolated._decode.close()
    np.testing.assert_array_equal(decode_image(GOOD, "x.dcm").pixels, RAMP)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_large_film_takes_less_memory_than_the_limit() -> None:
    film = np.zeros((5000, 5000), np.uint16)
    film[::7] = 4095
    isolated._decode.close()
    found = decode_image(content_of(dataset_of(film, 12, WindowCenter=2000, WindowWidth=1000)), "x.dcm")
    assert found.pixels.shape == (5000, 5000)
    (process,) = isolated._decode._idle
    status = Path(f"/proc/{process._process.pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 400_000  # kB
