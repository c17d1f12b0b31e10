"""Names of files that are made from those of findings and images, valid on any system."""

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

MAX_NAME_LENGTH = 60
"""Maximum number of characters of such a name."""
_HASH_LENGTH = 16
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that Windows keeps for devices."""
_HASHED = re.compile(r".*-[0-9a-f]{16}")
"""Names that look as if they had a hash."""


def safe_name(text: str, identity: str = "") -> str:
    """A name of a file, without a suffix, for any text.

    A text that is such a name already stays as it is, any other gets 64 bits of its hash. Names of two texts may
    differ in case only, and are then one file where the file system ignores case: see :func:`safe_names`.

    Args:
        text: What the name is made from.
        identity: What tells files apart whose texts may be the same, such as a path; its hash is then always added.

    Example:
        >>> safe_name("Pleural_Thickening"), safe_name("../x"), safe_name("nul")
        ('Pleural_Thickening', 'x-d6b96a97d147daaa', 'nul-99e6242759016035')
    """
    safe = _UNSAFE.sub("-", text).strip("-")
    is_safe = safe == text and 0 < len(safe) <= MAX_NAME_LENGTH and not _RESERVED.fullmatch(safe)
    if is_safe and not identity and not _HASHED.fullmatch(safe):
        return safe
    ending = sha256((identity or text).encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{safe[: MAX_NAME_LENGTH - _HASH_LENGTH - 1].strip('-') or 'unnamed'}-{ending}"


def safe_names(texts: Iterable[str]) -> dict[str, str]:
    """Names of files for all of some texts, which stay different where the file system ignores case.

    Args:
        texts: What the names are made from.

    Example:
        >>> safe_names(["Mass", "Edema", "edema"])
        {'Mass': 'Mass', 'Edema': 'Edema-7112367518293a9b', 'edema': 'edema-d37e7fff4d006131'}
    """
    names = {text: safe_name(text) for text in texts}
    counts = Counter(name.casefold() for name in names.values())
    return {text: name if counts[name.casefold()] == 1 else safe_name(text, text) for text, name in names.items()}
