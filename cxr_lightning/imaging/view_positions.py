"""View positions in their many spellings: in DICOM headers, descriptions of series and tables of labels."""

import re
import unicodedata

PA_VIEW, AP_VIEW, LATERAL_VIEW = "PA", "AP", "LATERAL"

_SPELLED_OUT = (
    (re.compile(r"POST(?:ERO|ERIOR)?[^A-Z]*ANT(?:ERIOR)?(?![A-Z])"), " PA "),
    (re.compile(r"ANT(?:ERO|ERIOR)?[^A-Z]*POST(?:ERIOR)?(?![A-Z])"), " AP "),
    (re.compile(r"(?<![A-Z])P[^A-Z]{1,3}A(?![A-Z])"), " PA "),
    (re.compile(r"(?<![A-Z])A[^A-Z]{1,3}P(?![A-Z])"), " AP "),
)
"""Spellings with several words or punctuation, and the word that stands for each."""
_LATERAL_WORDS = frozenset(
    {"LAT", "LATERAL", "LATERALE", "LATERALIS", "LATL", "LATR", "LL", "LLAT", "RL", "RLAT", "PROFIL", "PROFILE"}
)
_DECUBITUS = re.compile(r"DECUB|(?<![A-Z])[LR]LD(?![A-Z])")
_OBLIQUE = re.compile(r"OBLIQ|(?<![A-Z])(?:[LR][AP]O|[LR]LO)(?![A-Z])")


def parse_view_position(text: str) -> str:
    """Parse a view position: ``PA``, ``AP``, ``LATERAL``, or empty if the text states none of them, or several.

    Case, accents, punctuation, digits and other words (``CHEST``, ``ERECT``, ``SUPINE``) do not matter. A decubitus
    film is taken from the front of a patient who lies on a side: it is never lateral, and PA or AP only if the text
    says which. ``frontal``, oblique views and ribs (``COSTAL``) are none of the three.

    Args:
        text: A cell of a table, or an element of a header.

    Example:
        >>> [parse_view_position(text) for text in ("pa", "Postero-anterior", "AP SUPINE", "a.-p.", "L", "LAT ERECT")]
        ['PA', 'PA', 'AP', 'AP', 'LATERAL', 'LATERAL']
        >>> [parse_view_position(text) for text in ("AP LLD", "left lateral decubitus", "PA and lateral", "frontal")]
        ['AP', '', '', '']
    """
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().upper()
    if folded.strip(" \t\r\n.()[]") == "L":
        return LATERAL_VIEW
    for pattern, word in _SPELLED_OUT:
        folded = pattern.sub(word, folded)
    if _OBLIQUE.search(folded):
        return ""
    words = set(re.findall("[A-Z]+", folded))
    lateral = bool(words & _LATERAL_WORDS) and not _DECUBITUS.search(folded)
    frontal = words & {PA_VIEW, AP_VIEW}
    if lateral:
        return "" if frontal or "FRONTAL" in words else LATERAL_VIEW
    return frontal.pop() if len(frontal) == 1 else ""
