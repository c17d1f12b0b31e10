"""Names of files by their meaning: which one a table means that spells it in another way."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from cxr_lightning.imaging.signatures import IMAGE_SUFFIXES

_MAX_COMPARED = 20_000
"""Maximum number of names that one is compared with to find the nearest."""
_MAX_LETTERS = 200


class NameIndex:
    """Relative paths, found by other spellings of them.

    Two spellings are of one file if they differ in nothing but Unicode forms, letter case, the ending of an image, or
    folders before the path, and no other file fits as well.

    Args:
        names: Paths with slashes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._by_stem: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for name in self._names:
            key = _key(name)
            self._by_stem.setdefault(key[-1], []).append((key, name))

    def __len__(self) -> int:
        return len(self._names)

    def match(self, name: str) -> str | None:
        """The one path that a name means; None if there is none, or several fit equally well.

        Example:
            >>> index = NameIndex(["images/a.png", "images/b.png", "images/b.jpg"])
            >>> index.match("A.PNG"), index.match("b"), index.match("data/images/a.jpg")
            ('images/a.png', None, 'images/a.png')
        """
        if name in self._names:
            return name
        wanted = _key(name)
        found = [path for key, path in self._by_stem.get(wanted[-1], ()) if _is_suffix(wanted, key)]
        for is_equal in (_same_unicode, _same_path, _same_ending):
            closer = [path for path in found if is_equal(name, path)]
            if len(closer) == 1:
                return closer[0]
            found = closer or found
        return found[0] if len(found) == 1 else None

    def nearest(self, name: str) -> str | None:
        """The path whose file name is most similar to a name's; None if none is similar, or there are too many."""
        if len(name) > _MAX_LETTERS or len(self._names) > _MAX_COMPARED:
            return None
        paths = {_key(path)[-1]: path for path in self._names}
        close = get_close_matches(_key(name)[-1], paths, n=1, cutoff=0.7)
        return paths[close[0]] if close else None


def without_ending(name: str) -> str:
    """A name without the ending of an image.

    Example:
        >>> without_ending("a/b.PNG"), without_ending("a/b.v2")
        ('a/b', 'a/b.v2')
    """
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in IMAGE_SUFFIXES and not stem.endswith("/") and stem else name


def _key(name: str) -> tuple[str, ...]:
    """Parts of a path that are equal for all spellings of it, but for folders before it."""
    return tuple(unicodedata.normalize("NFC", without_ending(name)).casefold().split("/"))


def _is_suffix(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one path is the end of the other, folder by folder."""
    length = min(len(one), len(other))
    return one[-length:] == other[-length:]


def _same_unicode(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _same_path(one: str, other: str) -> bool:
    return _key(one) == _key(other) and _same_ending(one, other)


def _same_ending(one: str, other: str) -> bool:
    endings = [name[len(without_ending(name)) :].casefold() for name in (one, other)]
    return endings[0] == endings[1]
