"""Which files a command line means: files, folders and patterns."""

import os
import stat
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from cxr_lightning.imaging.dicom import is_dicom

ENDINGS = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".jp2", ".j2k", ".bmp", ".gif", ".webp"),
        *(".ppm", ".pgm", ".dcm", ".dicom"),
    }
)
"""Of files that are taken from a folder; others are, if they are DICOM inside."""
_INDEX = "DICOMDIR"


def find_images(paths: Sequence[str]) -> list[Path]:
    """The image files that are meant, each once, those of a folder in the order of their names.

    Args:
        paths: Files, which need not look like images; folders, which are searched; or patterns such as ``*.png``.

    Raises:
        FileNotFoundError: If something is not there, a folder holds no image or nothing fits a pattern.
        OSError: If a folder cannot be read.
    """
    found: dict[Path, Path] = {}
    for text in paths:
        for path in _meant(text):
            found.setdefault(absolute(path), path)
    return list(found.values())


def absolute(path: Path) -> Path:
    """By which two names of one file are known; links are not followed, they may be images of their own."""
    return Path(os.path.normpath(path.absolute()))


def _meant(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        inside = sorted(_images_in(path))
        if not inside:
            raise FileNotFoundError(f"Expected images in the folder '{text}' but there is none. Name files instead.")
        return inside
    if path.exists():
        return [path]
    if has_magic(text):
        matches = [Path(name) for name in sorted(glob(text, recursive=True))]  # noqa: PTH207  # it may be absolute
        files = [file for match in matches for file in (sorted(_images_in(match)) if match.is_dir() else [match])]
        if files:
            return files
        raise FileNotFoundError(f"Expected files that fit '{text}' but there is none. Check the pattern.")
    raise FileNotFoundError(f"Expected a file or folder at '{text}' but there is none. Check the path.")


def _images_in(folder: Path) -> Iterator[Path]:
    """What may be an image below a folder, through links too; hidden files are left out.

    Raises:
        OSError: If a folder cannot be read: its images would be missing without a word.
    """
    known: set[Path] = set()

    def fail(error: OSError) -> None:
        raise error

    for name, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        if (real := Path(name).resolve()) in known:  # by a link
            folders.clear()
            continue
        known.add(real)
        folders[:] = sorted(one for one in folders if one[0] != ".")
        paths = (Path(name) / file for file in files if file[0] != "." and file != _INDEX)
        yield from (path for path in paths if _looks_like_image(path))


def _looks_like_image(path: Path) -> bool:
    """By its ending, or inside; what cannot be read may be one."""
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return is_dicom(file.read(256))
    except OSError as error:
        return isinstance(error, PermissionError)
