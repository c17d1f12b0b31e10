"""Find the image files that a command line names by files, folders and patterns."""

import fnmatch
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import NamedTuple

from cxr_lightning.imaging.dicom_signature import dicom_kind, is_dicom
from cxr_lightning.imaging.other_kinds import other_kind, plural_kind
from cxr_lightning.imaging.signatures import IMAGE_SUFFIXES, SIGNATURE_BYTES, is_image
from cxr_lightning.utils.regular_files import NotRegularFileError, open_regular

_HIDDEN = "hidden file"
_NOT_REGULAR = "special file"
_UNKNOWN = "file of an unknown kind"
_NOT_FOLLOWED = "link to a folder"
"""One that is not followed: to a hidden folder, to one around it, or to one that is searched already."""
_DICOM_SUFFIXES = (".dcm", ".dicom")
"""Suffixes of images that are looked into all the same: reports and indexes have them too."""


class FoundImages(NamedTuple):
    """The images that a command line names, and what else is in its folders."""

    paths: list[Path]
    """Image files, each once."""
    passed_over: dict[str, int]
    """Number of the other files in the folders by their kind, a noun; the most frequent kind first."""


def find_images(paths: Sequence[str]) -> FoundImages:
    """Find image files, each once, those of a folder sorted by name, and count what is passed over.

    In folders, files with the suffix of an image are taken, and those that are images by their first bytes; all others
    are counted, also hidden ones.

    Args:
        paths: Files, which need not look like images; folders, which are searched; or patterns such as ``*.png``.

    Raises:
        FileNotFoundError: If a path does not exist, a folder holds no image or nothing fits a pattern.
        OSError: If a folder cannot be read.
    """
    found: dict[str, Path] = {}
    others = _Others(compared=len(paths) > 1 or any(has_magic(text) for text in paths))
    for text in paths:
        for path in _expand_path(text, others):
            found.setdefault(_absolute(path), path)
    return FoundImages(list(found.values()), others.counts(found))


class _Others:
    """What is passed over: its number by kind, and its paths where several folders may have files in common.

    Args:
        compared: Whether a file may be met twice, or be named beside its folder.
    """

    def __init__(self, *, compared: bool) -> None:
        self._counts: Counter[str] = Counter()
        self._kinds: dict[str, str] | None = {} if compared else None

    def add(self, path: str, kind: str) -> None:
        if self._kinds is None:
            self._counts[kind] += 1
        else:
            self._kinds[os.path.abspath(path)] = kind  # noqa: PTH100  # a Path for each of a million files is slow

    def counts(self, found: Container[str] = ()) -> dict[str, int]:
        """Number of files by kind without those that were found elsewhere, the most frequent kind first."""
        if self._kinds is not None:
            self._counts = Counter(kind for path, kind in self._kinds.items() if path not in found)
        return dict(self._counts.most_common())


def describe_passed_over(passed_over: Mapping[str, int]) -> str:
    """One line about the files that are passed over; empty if there are none.

    Example:
        >>> describe_passed_over({"text file": 3, "DICOMDIR file": 1})
        'passed over: 3 text files, 1 DICOMDIR file'
    """
    counts = (f"{count:,} {kind if count == 1 else plural_kind(kind)}" for kind, count in passed_over.items())
    return f"passed over: {', '.join(counts)}" if passed_over else ""


def absolute_path(path: Path) -> Path:
    """Normalized absolute path by which files are compared; links are not resolved and count as other files."""
    return Path(_absolute(path))


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  # normalizes, without resolving links


def _expand_path(text: str, others: _Others) -> list[Path]:
    """The image files that a text names; what is passed over in folders is added to ``others``."""
    path = Path(text)
    if not text:
        raise FileNotFoundError("Expected the name of a file or folder but got ''. Check the command line.")
    if path.is_dir():
        if inside := sorted(_images_in(path, others)):
            return inside
        about = describe_passed_over(others.counts())
        raise FileNotFoundError(
            f"Expected images in the folder '{text}' but there is none{f' ({about})' if about else ''}. "
            "Name files instead."
        )
    if path.exists() and not text.endswith(os.sep):
        return [path]
    if has_magic(text):  # a name, too, may have such characters
        files = [
            file
            for match in _matches(text)
            for file in (sorted(_images_in(match, others)) if match.is_dir() else [match])
        ]
        if files:
            return files
        raise FileNotFoundError(
            f"Expected files of the name or pattern '{text}' but there is none. Check it, and the folder."
        )
    raise FileNotFoundError(f"Expected a file or folder at '{text}' but there is none. Check the path.")


def _matches(pattern: str) -> list[Path]:
    """Files and folders that fit a pattern, without hidden ones; ``**`` is any folder below, as :func:`_walk` has."""
    path = Path(pattern)
    found = _expand_parts(Path(path.anchor), path.parts[1:] if path.anchor else path.parts)
    return [match for match in found if match.is_dir() or not pattern.endswith(os.sep)]


def _expand_parts(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Files and folders below a folder that fit the parts of a pattern, in the order of their names."""
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        places = (place for place, _ in _walk(folder)) if rest else iter([folder])
    elif has_magic(part):
        names = sorted(fnmatch.filter(os.listdir(folder), part))  # noqa: PTH208  # names alone
        found = (folder / name for name in names if name[0] != "." or part[0] == ".")
        places = (place for place in found if not _leads_around(place))
    else:
        places = iter([folder / part] if os.path.lexists(folder / part) else [])
    for place in places:
        if not rest or place.is_dir():
            yield from _expand_parts(place, rest)


def _leads_around(place: Path) -> bool:
    """Whether a path is a link to a folder around it."""
    return place.is_symlink() and place.parent.resolve().is_relative_to(place.resolve())


def _images_in(folder: Path, others: _Others) -> Iterator[Path]:
    """Files below a folder that may be images, as :func:`_walk` finds them; the others are added with their kinds."""
    for place, names in _walk(folder, others):
        start = str(place)
        for name in names:
            path = os.path.join(start, name)  # noqa: PTH118  # a Path for each of a million files is slow
            if kind := _HIDDEN if name[0] == "." else _other_kind(path):
                others.add(path, kind)
            else:
                yield place / name


def _walk(folder: Path, others: _Others | None = None) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those below it that are not hidden, each with its files' names.

    Links to folders are followed, each folder once, and none to a folder around: that would lead through much that
    nobody has named. Links that are not followed, and what is in hidden folders, are added to ``others``.

    Raises:
        OSError: If a folder cannot be read: otherwise its images would be missing silently.
    """
    visited: set[Path] = {*folder.resolve().parents}
    add = others.add if others else lambda path, kind: None

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # else it has just been removed
            raise error

    for name, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        if (real := Path(name).resolve()) in visited:  # a link leads here, or led here before
            folders.clear()
            add(name, _NOT_FOLLOWED)
            continue
        visited.add(real)
        for inner in (Path(name, inner) for inner in folders if others and inner[0] == "."):
            if inner.is_symlink():
                add(str(inner), _NOT_FOLLOWED)
            for path in _hidden_files(inner):
                add(path, _HIDDEN)
        folders[:] = sorted(folder_name for folder_name in folders if folder_name[0] != ".")
        yield Path(name), sorted(files)


def _hidden_files(folder: Path) -> Iterator[str]:
    """Files in a hidden folder, and links to folders, which are not followed."""
    if not folder.is_symlink():
        for name, folders, files in os.walk(folder):
            links = (inner for inner in folders if Path(name, inner).is_symlink())
            yield from (os.path.join(name, file) for file in (*files, *links))  # noqa: PTH118


def _other_kind(path: str) -> str:
    """What a file is that is no image by its suffix and content; empty if it may be an image.

    One without read permission may be.
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if suffix in IMAGE_SUFFIXES and suffix not in _DICOM_SUFFIXES:
        return ""
    try:
        with open_regular(path) as file:
            head = file.read(SIGNATURE_BYTES)
    except NotRegularFileError:
        return "" if suffix in IMAGE_SUFFIXES else _NOT_REGULAR
    except OSError as error:
        return "" if suffix in IMAGE_SUFFIXES or isinstance(error, PermissionError) else "unreadable file"
    if kind := dicom_kind(head) if is_dicom(head) else "":
        return kind
    if suffix in IMAGE_SUFFIXES or is_image(head):
        return ""
    return "empty file" if not head else other_kind(head) or _UNKNOWN
