"""Names of files that are made from those of findings and images: valid on any system, and different for each."""

import re
from hashlib import sha256

MAX_NAME_LENGTH = 60
"""Maximum number of characters of such a name."""
_HASH_LENGTH = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that Windows keeps for devices."""
_HASHED = re.compile(r".*-[0-9a-f]{8}")
"""Names that look as if they had a hash."""


def safe_name(text: str, identity: str = "") -> str:
    """A name of a file, without a suffix, for any text; different texts have different names.

    A text that is such a name already stays as it is, any other gets a part of its hash.

    Args:
        text: What the name is made from.
        identity: What tells files apart whose texts may be the same, such as a path; its hash is then always added.

    Example:
        >>> safe_name("Pleural_Thickening"), safe_name("../x"), safe_name("nul")
        ('Pleural_Thickening', 'x-d6b96a97', 'nul-99e62427')
    """
    safe = _UNSAFE.sub("-", text).strip("-")
    is_safe = safe == text and 0 < len(safe) <= MAX_NAME_LENGTH and not _RESERVED.fullmatch(safe)
    if is_safe and not identity and not _HASHED.fullmatch(safe):
        return safe
    ending = sha256((identity or text).encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{safe[: MAX_NAME_LENGTH - _HASH_LENGTH - 1].strip('-') or 'unnamed'}-{ending}"
