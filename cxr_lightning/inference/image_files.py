"""Find the image files that a command line names by files, folders and patterns."""

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import has_magic
from itertools import chain, compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.dicom_signature import dicom_kind, is_dicom
from cxr_lightning.imaging.other_kinds import other_kind, plural_kind
from cxr_lightning.imaging.signatures import IMAGE_SUFFIXES, SIGNATURE_BYTES, is_image
from cxr_lightning.inference.folder_walk import HIDDEN, match_pattern, walk_folder
from cxr_lightning.utils.path_list import PathDigests, PathList, is_first, is_last
from cxr_lightning.utils.regular_files import NotRegularFileError, open_regular

_NOT_REGULAR = "special file"
_UNKNOWN = "file of an unknown kind"
_DICOM_SUFFIXES = (".dcm", ".dicom")
"""Suffixes of images that are looked into all the same: reports and indexes have them too."""


class FoundImages(NamedTuple):
    """The images that a command line names, and what else is in its folders."""

    paths: PathList
    """Image files, each once."""
    passed_over: dict[str, int]
    """Number of the other files in the folders by their kind, a noun; the most frequent kind first."""


def find_images(paths: Sequence[str]) -> FoundImages:
    """Find image files, each once, those of a folder sorted by name, and count what is passed over.

    In folders, files with the suffix of an image are taken, and those that are images by their first bytes; all others
    are counted, also hidden ones. A million files take no more memory than a thousand: their names are in a compressed
    list, and only where a file may be met twice, 16 bytes of each are compared. A folder takes about a hundred bytes.

    Args:
        paths: Files, which need not look like images; folders, which are searched; or patterns such as ``*.png``.

    Raises:
        FileNotFoundError: If a path does not exist, a folder holds no image or nothing fits a pattern.
        OSError: If a folder cannot be read, or temporary files cannot be written.
    """
    compared = len(paths) > 1 or any(has_magic(text) for text in paths)
    found, digests, others = PathList(), PathDigests(), _Others(compared=compared)
    for path in chain.from_iterable(_expand_path(text, others) for text in paths):
        found.append(path)
        if compared:
            digests.append(path)
    once = is_first(digests.array)
    if not once.all():
        found = _only(found, once.tolist())
    return FoundImages(found, others.counts(digests.array))


def _only(paths: PathList, chosen: Iterable[bool]) -> PathList:
    result = PathList()
    for path in compress(paths.texts(), chosen):
        result.append(path)
    return result


class _Others:
    """What is passed over: its number by kind, and its digests where several folders may have files in common.

    Args:
        compared: Whether a file may be met twice, or be named beside its folder.
    """

    def __init__(self, *, compared: bool) -> None:
        self._counts: Counter[str] = Counter()
        self._digests = PathDigests() if compared else None
        self._kinds: dict[str, int] = {}
        self._numbers = array("H")  # the kind of each digest

    def add(self, path: str, kind: str) -> None:
        if self._digests is None:
            self._counts[kind] += 1
        else:
            self._digests.append(path)
            self._numbers.append(self._kinds.setdefault(kind, len(self._kinds)))

    def counts(self, found: NDArray[np.bytes_] | None = None) -> dict[str, int]:
        """Number of files by kind without those that were found elsewhere, the most frequent kind first."""
        if self._digests is not None:
            digests = self._digests.array
            counted = is_last(digests) & ~np.isin(digests, [] if found is None else found)
            numbers = np.bincount(np.array(self._numbers, dtype=np.intp)[counted], minlength=len(self._kinds))
            self._counts = Counter(
                {kind: count for kind, count in zip(self._kinds, numbers.tolist(), strict=True) if count}
            )
        return dict(self._counts.most_common())


def describe_passed_over(passed_over: Mapping[str, int]) -> str:
    """One line about the files that are passed over; empty if there are none.

    Example:
        >>> describe_passed_over({"text file": 3, "DICOMDIR file": 1})
        'passed over: 3 text files, 1 DICOMDIR file'
    """
    counts = (f"{count:,} {kind if count == 1 else plural_kind(kind)}" for kind, count in passed_over.items())
    return f"passed over: {', '.join(counts)}" if passed_over else ""


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  # normalizes, without resolving links


def _expand_path(text: str, others: _Others) -> Iterator[str]:
    """The image files that a text names; what is passed over in folders is added to ``others``."""
    path = Path(text)
    if not text:
        raise FileNotFoundError("Expected the name of a file or folder but got ''. Check the command line.")
    if path.is_dir():
        found = _images_in(path, others)
        if (first := next(found, None)) is not None:
            return chain([first], found)
        about = describe_passed_over(others.counts())
        raise FileNotFoundError(
            f"Expected images in the folder '{text}' but there is none{f' ({about})' if about else ''}. "
            "Name files instead."
        )
    if path.exists() and not text.endswith(os.sep):
        return iter([str(path)])
    if has_magic(text):  # a name, too, may have such characters
        found = (
            file
            for match in match_pattern(text)
            for file in (_images_in(match, others) if match.is_dir() else [str(match)])
        )
        if (first := next(found, None)) is not None:
            return chain([first], found)
        raise FileNotFoundError(
            f"Expected files of the name or pattern '{text}' but there is none. Check it, and the folder."
        )
    raise FileNotFoundError(f"Expected a file or folder at '{text}' but there is none. Check the path.")


def _images_in(folder: Path, others: _Others) -> Iterator[str]:
    """Files below a folder that may be images, in the order of their names; the others are added with their kinds."""
    for path, is_folder in walk_folder(folder, others.add):
        if is_folder:
            continue
        name = os.path.basename(path)  # noqa: PTH119
        if kind := HIDDEN if name[0] == "." else _other_kind(path):
            others.add(path, kind)
        else:
            yield path


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
