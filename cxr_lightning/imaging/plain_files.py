"""Which image files are decoded in this process: PNGs and JPEGs whose parts are all known to be quick and small.

Decided by an exact list of parts, so that what is unusual in any way is decoded with limited memory and time.
"""

from collections.abc import Iterator

from cxr_lightning.imaging.signatures import PNG_SIGNATURE

_PNG_CHUNKS = frozenset(
    {
        *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"hIST", b"pHYs"),
        *(b"tIME", b"tEXt"),
    }
)
"""Chunks that hold nothing compressed but pixels, no EXIF data and no animation."""
_TEXT_KEYWORDS = frozenset(
    {
        *(b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software", b"Disclaimer", b"Warning"),
        *(b"Source", b"Comment", b"date:create", b"date:modify", b"date:timestamp"),  # ImageMagick's dates
        *(b"Phantom", b"Boxes"),  # of the synthetic set
    }
)
"""Keywords of texts, none of which is parsed as EXIF data or XMP, as that of a raw profile is."""
_DEEP_COLORS = (b"\x10\x02", b"\x10\x04", b"\x10\x06")
"""Bit depth and color type of PNGs with several channels of 16 bits."""
_JPEG_SEGMENTS = frozenset({0xE0, 0xEE, 0xFE, 0xDB, 0xC4, 0xC0, 0xC1, 0xDD})
"""Markers of JFIF, Adobe, a comment, tables and the frame of a baseline or sequential JPEG."""
_START_OF_SCAN = 0xDA
_MAX_CHUNKS, _MAX_SEGMENTS, _MAX_SCANS = 20_000, 100, 4
_MAX_OTHER_BYTES = 1 << 20
"""Maximum size of the chunks that hold no pixels."""


def is_plain(content: bytes) -> bool:
    """Whether a file is a PNG or JPEG of the kind that is decoded in this process.

    Args:
        content: The file's bytes.
    """
    return _is_plain_png(content) if content.startswith(PNG_SIGNATURE) else _is_plain_jpeg(content)


def png_texts(content: bytes) -> dict[str, str]:
    """Texts of a PNG file by keyword.

    Args:
        content: Bytes of a PNG file that is plain.
    """
    chunks = (content[start : start + length] for kind, start, length in _png_chunks(content) if kind == b"tEXt")
    texts = (chunk.decode("latin-1").partition("\0") for chunk in chunks)
    return {keyword: text for keyword, _, text in texts}


def _is_plain_png(content: bytes) -> bool:
    other = 0
    for number, (kind, start, length) in enumerate(_png_chunks(content)):
        other += 0 if kind == b"IDAT" else length
        if kind not in _PNG_CHUNKS or (kind == b"IHDR") != (number == 0) or number > _MAX_CHUNKS:
            return False
        if kind == b"IHDR" and content[start + 8 : start + 10] in _DEEP_COLORS:
            return False
        if kind == b"tEXt" and content[start : start + length].partition(b"\0")[0] not in _TEXT_KEYWORDS:
            return False
        if kind == b"IEND":
            return other <= _MAX_OTHER_BYTES
    return False


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of every chunk."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4])
        yield content[position + 4 : position + 8], position + 8, length
        position += 12 + length


def _is_plain_jpeg(content: bytes) -> bool:
    if not content.startswith(b"\xff\xd8\xff"):
        return False
    position = 2
    for _ in range(_MAX_SEGMENTS):
        if position + 4 > len(content) or content[position] != 0xFF:
            return False
        marker = content[position + 1]
        if marker == _START_OF_SCAN:
            return content.count(b"\xff\xda") <= _MAX_SCANS
        if marker not in _JPEG_SEGMENTS:
            return False
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return False
