"""Find the image files that a command line names by files, folders and patterns."""

import os
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path

from cxr_lightning.imaging.signatures import SIGNATURE_BYTES, is_dicom
from cxr_lightning.utils.regular_files import open_regular

IMAGE_SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".jp2", ".j2k", ".bmp", ".gif", ".webp"),
        *(".ppm", ".pgm", ".dcm", ".dicom"),
    }
)
"""Suffixes of the files that are taken from a folder, beside DICOM files of any name."""
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
    """Files and folders that fit a pattern, sorted, without hidden ones; ``**`` follows no links to folders."""
    path = Path(pattern)
    try:
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except (ValueError, NotImplementedError):  # such as `**` beside other characters
        return []
    if pattern.endswith(os.sep):
        found = [match for match in found if match.is_dir()]
    if "**" in path.parts:
        found = [match for match in found if not (match.is_symlink() and match.is_dir())]
    return [match for match in found if not _is_hidden(match, path)]


def _is_hidden(match: Path, pattern: Path) -> bool:
    """Whether a part of a path begins with a dot, and none of the pattern does."""
    hidden = [part for part in match.parts if part[0] == "." and part != ".."]
    return bool(hidden) and not any(part[0] == "." and part != ".." for part in pattern.parts)


def _images_in(folder: Path) -> Iterator[Path]:
    """Files below a folder that may be images, skipping hidden files and following links, but to no folder around it.

    Raises:
        OSError: If a folder cannot be read: otherwise its images would be missing silently.
    """
    start = folder.resolve()
    visited: set[Path] = set(start.parents)  # a link there would lead through much that nobody has named

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # else it has just been removed
            raise error

    for name, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        if (real := Path(name).resolve()) in visited:  # a link has led here
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(folder_name for folder_name in folders if folder_name[0] != ".")
        paths = (Path(name) / file for file in files if file[0] != "." and file != _DICOM_INDEX)
        yield from (path for path in paths if _looks_like_image(path))


def _looks_like_image(path: Path) -> bool:
    """Whether a file may be an image, by its suffix or content; one without read permission may be."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with open_regular(path) as file:
            return is_dicom(file.read(SIGNATURE_BYTES))
    except OSError as error:
        return isinstance(error, PermissionError)
