"""Which files a command line means: files, folders and patterns."""

from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from cxr_lightning.data.dicom import is_dicom

ENDINGS = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".jp2", ".j2k", ".bmp", ".gif", ".webp"),
        *(".ppm", ".pgm", ".dcm", ".dicom"),
    }
)
"""Of files that are taken from a folder; those without one are, if they are DICOM inside."""
_INDEX = "DICOMDIR"


def find_images(paths: Sequence[str]) -> list[Path]:
    """The image files that are meant, each once, those of a folder in the order of their names.

    Args:
        paths: Files, which need not look like images; folders, which are searched; or patterns such as ``*.png``.

    Raises:
        FileNotFoundError: If something is not there, a folder holds no image or nothing fits a pattern.
    """
    found: dict[Path, Path] = {}
    for text in paths:
        for path in _meant(text):
            found.setdefault(path.absolute(), path)
    return list(found.values())


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
        files = [file for match in matches for file in ([match] if match.is_file() else _images_in(match))]
        if files:
            return files
        raise FileNotFoundError(f"Expected files that fit '{text}' but there is none. Check the pattern.")
    raise FileNotFoundError(f"Expected a file or folder at '{text}' but there is none. Check the path.")


def _images_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name != _INDEX and path.is_file() and _looks_like_image(path):
            yield path


def _looks_like_image(path: Path) -> bool:
    if path.suffix.lower() in ENDINGS:
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # names of DICOM files often end in a number
        return False
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(256))
    except OSError:
        return False
