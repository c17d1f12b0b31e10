"""What a file that is no image is, by its first bytes."""

import json
import re

_PATTERNS = {
    "NumPy archive": rb"PK\x03\x04.{26}[^/]{1,80}\.npy",
    "office document": (
        rb"PK\x03\x04.{26}(\[Content_Types\]\.xml|mimetypeapplication/vnd)|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|{\\rtf"
    ),
    "zip archive": rb"PK\x03\x04|PK\x05\x06|PK\x07\x08",
    "gzip file": rb"\x1f\x8b",
    "bzip2 file": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz file": rb"\xfd7zXZ\0",
    "Zstandard file": rb"\x28\xb5\x2f\xfd",
    "7z archive": rb"7z\xbc\xaf\x27\x1c",
    "rar archive": rb"Rar!\x1a\x07",
    "tar archive": rb".{257}ustar",
    "PDF document": rb"\s{0,16}%PDF-",
    "NIfTI volume": rb".{344}(n\+1|ni1)\0|.{4}n[+i][12]\0\r\n\x1a\n",
    "Analyze header": rb"(\x5c\x01\0\0|\0\0\x01\x5c).{34}r",
    "NRRD volume": rb"NRRD000\d",
    "MetaImage header": rb"\s*(ObjectType|NDims|Comment|ID|ObjectSubType)\s*=.*(NDims|DimSize)\s*=",
    "HDF5 file": rb"\x89HDF\r\n\x1a\n",
    "NetCDF file": rb"CDF[\x01\x02\x05]",
    "NumPy array": rb"\x93NUMPY",
    "MATLAB file": rb"MATLAB \d",
    "FITS file": rb"SIMPLE  =",
    "HEIC image": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "AVIF image": rb".{4}ftypavi[fs]",
    "JPEG XL image": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG XR image": rb"II\xbc",
    "OpenEXR image": rb"\x76\x2f\x31\x01",
    "Photoshop file": rb"8BPS\0[\x01\x02]",
    "icon": rb"\0\0[\x01\x02]\0[\x01-\x20]\0",
    "video": rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3|.{4}(moov|mdat|wide)|\0\0\x01[\xba\xb3]",
    "sound file": rb"RIFF.{4}WAVE|ID3[\x02-\x04]|fLaC|OggS",
    "PostScript file": rb"%!PS|\xc5\xd0\xd3\xc6",
    "pickle": rb"\x80[\x02-\x05][\x7d\x5d\x8a\x95c(]",
    "database": rb"SQLite format 3\0",
    "Parquet file": rb"PAR1.{0,28}[\0-\x08\x0e-\x1a\x7f-\xff]",
    "program": rb"\x7fELF|MZ(?=.{0,62}\0).{62}|\xca\xfe\xba\xbe|\xcf\xfa\xed\xfe|#!\s*/",
}
"""Patterns of the first bytes; the first that fits counts."""
_ANY_PATTERN = re.compile(b"|".join(b"(?:%s)" % pattern for pattern in _PATTERNS.values()), re.DOTALL)
"""All patterns in one: most files are texts, which fit none."""
_COMPILED = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in _PATTERNS.items()}
_NO_TEXT = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_HTML = r"(<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(!doctype\s+html|html|head|body)[\s>]"
_XML = r"<\?xml\s|(<!--.*?-->\s*)*<(!doctype\s|[a-z_][\w.:-]*(\s+[\w.:-]+\s*=\s*[\"'][^<]*|\s*/?)>)"
_MIN_CUT = 250
"""Number of characters from which on a text may be cut within a line: of two bytes each, there are half as many."""
_MIN_ASCII = 0.7
"""Fraction of ASCII from which on bytes without a known encoding count as text."""


def other_kind(head: bytes) -> str:
    r"""What a file that is no image is, a noun; empty if its first bytes do not tell.

    Args:
        head: The file's first ``SIGNATURE_BYTES`` bytes.

    Example:
        >>> other_kind(b"PK\x03\x04..."), other_kind(b"Image Index,Finding Labels\n"), other_kind(b"%PDF-1.4")
        ('zip archive', 'CSV table', 'PDF document')
    """
    if _ANY_PATTERN.match(head):
        return next(kind for kind, pattern in _COMPILED.items() if pattern.match(head))
    if len(head) >= 16 and not any(head):
        return "file of zero bytes"
    return _kind_of_text(text) if (text := _decoded(head)) else ""


def with_article(kind: str) -> str:
    """A kind with the article that is spoken before it.

    Example:
        >>> with_article("zip archive"), with_article("HDF5 file"), with_article("PNG image")
        ('a zip archive', 'an HDF5 file', 'a PNG image')
    """
    return f"{'an' if kind[0] in 'aeioAEIO' or kind[:3] in ('HDF', 'HTM', 'SVG', 'NRR', 'XML', 'xz ') else 'a'} {kind}"


def plural_kind(kind: str) -> str:
    """The plural of a kind.

    Example:
        >>> plural_kind("zip archive"), plural_kind("file of zero bytes"), plural_kind("CDA document in DICOM")
        ('zip archives', 'files of zero bytes', 'CDA documents in DICOM')
    """
    preposition = next((word for word in (" of ", " to ") if word in kind), " in ")
    noun, preposition, rest = kind.partition(preposition)
    return f"{noun}s{preposition}{rest}"


def _decoded(head: bytes) -> str:
    """The bytes as text; empty if they are none."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[: len(head) // 2 * 2].decode("utf-16", "ignore").strip("\ufeff")
    if _NO_TEXT.search(head):
        return ""
    for end in range(len(head), max(0, len(head) - 4), -1):  # a character may be cut at the end
        try:
            return head[:end].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    ascii_bytes = sum(byte < 128 for byte in head)
    return head.decode("latin-1") if ascii_bytes >= _MIN_ASCII * len(head) else ""


def _kind_of_text(text: str) -> str:
    stripped = text.lstrip().lower()
    if "<svg" in stripped and stripped.startswith(("<svg", "<?xml", "<!--", "<!doctype svg")):
        return "SVG drawing"
    if re.match(_HTML, stripped, re.DOTALL):
        return "HTML page"
    if re.match(_XML, stripped, re.DOTALL):
        return "XML file"
    if _is_json(stripped):
        return "JSON file"
    lines = [line for line in text.splitlines() if line.strip()]
    whole = lines[:-1] if len(text) >= _MIN_CUT and len(lines) > 2 else lines  # the last line may be cut
    return "CSV table" if any(_separates(mark, whole) for mark in (",", ";", "\t")) else "text file"


def _is_json(text: str) -> bool:
    """Whether a text is JSON or JSON lines, or begins as one if it is cut."""
    if len(text) >= _MIN_CUT:
        return bool(re.match(r'\{\s*"[^"\n]*"\s*:|\[\s*([\[{]|("[^"\n]*"|-?\d[\d.e+-]*|true|false|null)\s*,)', text))
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    goes_on = re.match(r"\s*(\Z|\n\s*[\[{])", text[end:])
    footnote = re.fullmatch(r"\[\s*\d+\s*\]\s*", text)
    return bool(goes_on) and isinstance(value, dict | list) and not footnote


def _separates(mark: str, lines: list[str]) -> bool:
    """Whether a mark separates columns: in all lines equally often, and not once before a blank as in prose."""
    if not all(mark in line for line in lines):
        return False
    rows = [re.sub(r'"[^"]*"', "", line) if '"' in line else line for line in lines]
    counts = {row.count(mark) for row in rows}
    prose = mark != "\t" and counts == {1} and all(f"{mark} " in f"{row} " for row in rows)
    return bool(rows) and 0 not in counts and len(counts) == 1 and not prose
