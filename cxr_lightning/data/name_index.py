"""Names of files by their meaning: which one a table means that spells it in another way."""

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property

from cxr_lightning.imaging.signatures import IMAGE_SUFFIXES

_MAX_COMPARED = 1000
"""Number of names, nearest in alphabetical order from either end, that one is compared with to find the nearest."""
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
        found = self.fitting(name)
        return found[0] if len(found) == 1 else None

    def fitting(self, name: str) -> list[str]:
        """The paths that a name may mean: several where it fits them equally well, the name itself if it is there."""
        if name in self._names:
            return [name]
        key = _key(name)
        found = [path for other, path in self._by_stem.get(key[-1], ()) if _is_suffix(key, other)]
        for is_equal in (_same_unicode, _same_path, _same_ending):
            closer = [path for path in found if is_equal(name, path)]
            if len(closer) == 1:
                return closer
            found = closer or found
        return found

    def nearest(self, name: str) -> str | None:
        """The path whose file name is most similar to a name's; None if none is similar."""
        if len(name) > _MAX_LETTERS:
            return None
        stem = _key(name)[-1]
        candidates = {*_neighbors(stem, self._stems), *(text[::-1] for text in _neighbors(stem[::-1], self._mirrored))}
        close = get_close_matches(stem, sorted(candidates), n=1, cutoff=0.7)
        return self._by_stem[close[0]][0][1] if close else None

    @cached_property
    def _stems(self) -> list[str]:
        return sorted(stem for stem in self._by_stem if len(stem) <= _MAX_LETTERS)

    @cached_property
    def _mirrored(self) -> list[str]:
        return sorted(stem[::-1] for stem in self._stems)


def in_same_folder(one: str, other: str) -> bool:
    """Whether two spellings name the same folder.

    Example:
        >>> in_same_folder("img/a.png", "IMG/a"), in_same_folder("a.png", "img/a.png")
        (True, False)
    """
    return _key(one)[:-1] == _key(other)[:-1]


def _neighbors(text: str, ordered: Sequence[str]) -> Sequence[str]:
    """Texts near another one in alphabetical order."""
    place = bisect_left(ordered, text)
    return ordered[max(0, place - _MAX_COMPARED // 2) : place + _MAX_COMPARED // 2]


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
    return tuple(unicodedata.normalize("NFC", without_ending(name.replace("\\", "/"))).casefold().split("/"))


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
