"""Find the image files that a command line names by files, folders and patterns."""

import fnmatch
import os
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path

from cxr_lightning.imaging.signatures import IMAGE_SUFFIXES, SIGNATURE_BYTES, is_dicom
from cxr_lightning.utils.regular_files import open_regular

_DICOM_INDEX = "DICOMDIR"


def find_images(paths: Sequence[str]) -> list[Path]:
    """Find image files, each once, those of a folder sorted by name.

    Args:
        paths: Files, which need not look like images; folders, which are searched; or patterns such as ``*.png``.

    Raises:
        FileNotFoundError: If a path does not exist, a folder holds no image or nothing fits a pattern.
        OSError: If a folder cannot be read.
    """
    found: dict[Path, Path] = {}
    for text in paths:
        for path in _expand_path(text):
            found.setdefault(absolute_path(path), path)
    return list(found.values())


def absolute_path(path: Path) -> Path:
    """Normalized absolute path by which files are compared; links are not resolved and count as other files."""
    return Path(os.path.normpath(path.absolute()))


def _expand_path(text: str) -> list[Path]:
    path = Path(text)
    if not text:
        raise FileNotFoundError("Expected the name of a file or folder but got ''. Check the command line.")
    if path.is_dir():
        inside = sorted(_images_in(path))
        if not inside:
            raise FileNotFoundError(f"Expected images in the folder '{text}' but there is none. Name files instead.")
        return inside
    if path.exists() and not text.endswith(os.sep):
        return [path]
    if has_magic(text):  # a name, too, may have such characters
        files = [
            file for match in _matches(text) for file in (sorted(_images_in(match)) if match.is_dir() else [match])
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


def _images_in(folder: Path) -> Iterator[Path]:
    """Files below a folder that may be images, as :func:`_walk` finds them."""
    for place, names in _walk(folder):
        paths = (place / name for name in names if name != _DICOM_INDEX)
        yield from (path for path in paths if _looks_like_image(path))


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those below it, each with its files' names, without hidden ones.

    Links to folders are followed, each folder once, and none to a folder around: that would lead through much that
    nobody has named.

    Raises:
        OSError: If a folder cannot be read: otherwise its images would be missing silently.
    """
    visited: set[Path] = {*folder.resolve().parents}

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # else it has just been removed
            raise error

    for name, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        if (real := Path(name).resolve()) in visited:  # a link has led here
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(folder_name for folder_name in folders if folder_name[0] != ".")
        yield Path(name), sorted(file for file in files if file[0] != ".")


def _looks_like_image(path: Path) -> bool:
    """Whether a file may be an image, by its suffix or content; one without read permission may be."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with open_regular(path) as file:
            return is_dicom(file.read(SIGNATURE_BYTES))
    except OSError as error:
        return isinstance(error, PermissionError)
