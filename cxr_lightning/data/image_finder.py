"""Find the image files that a table names, whatever the spelling of a name, as long as one file fits."""

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cxr_lightning.data.name_index import NameIndex, in_same_folder
from cxr_lightning.imaging.signatures import IMAGE_SUFFIXES
from cxr_lightning.utils.plain_text import shorten

_MAX_FILES = 2_000_000
"""Maximum number of files below a data folder; beyond it, no other spelling is known to be the only one."""
_MAX_NEAREST = 5


@dataclass(frozen=True)
class FoundFiles:
    """The files of a table's images.

    Attributes:
        paths: The path of each image, missing where none is on disk; the index is the table's.
        remarks: That names are spelled in other ways than the files, as clauses.
        nearest: Clauses on the files that may be meant, by the names of some images that are not on disk.
    """

    paths: pd.Series
    remarks: tuple[str, ...] = ()
    nearest: Mapping[str, str] = field(default_factory=dict)


def normalized_path(name: str) -> str:
    r"""A relative path in its shortest form, with slashes; a ``..`` stays one, to be refused.

    Example:
        >>> normalized_path("./img//a.png"), normalized_path("img\\a.png"), normalized_path("img/../../a.png")
        ('img/a.png', 'img/a.png', 'img/../../a.png')
    """
    name = name.replace("\\", "/")
    return name if ".." in name.split("/") or not name else posixpath.normpath(name)


def find_files(root: Path, names: pd.Series, known: Mapping[str, str] | None = None) -> FoundFiles:
    """Find the files of images by their names, exactly or, where there is none, by another spelling that one file fits.

    A file in another folder is an image only where all images are in other folders than the table's, as in a copy that
    was packed in another way: beside images in their place it may be a mask, or another patient's.

    Args:
        root: The data set's folder.
        names: Paths relative to it, or names of files in the known folders.
        known: Paths of the files in the folders that the data set is published with, by name; by default, names are
            paths.
    """
    prefix = str(root / "x")[:-1]
    paths = [known.get(name) for name in names] if known is not None else [_exact(prefix, name) for name in names]
    missing = list(dict.fromkeys(name for name, path in zip(names, paths, strict=True) if path is None))
    if not missing:
        return FoundFiles(pd.Series(paths, index=names.index, dtype=object))
    files = _files_below(root)
    if not files:
        too_many = f"other spellings of names are not looked for among more than {_MAX_FILES:,} files below '{root}'"
        remarks = (too_many,) if files is None else ()
        return FoundFiles(pd.Series(paths, index=names.index, dtype=object), remarks)
    index = NameIndex(files)
    taken = {os.path.relpath(path, root) for path in paths if path is not None}
    matches = {name: found for name in missing if (found := index.match(name)) is not None}
    if taken or any(in_same_folder(name, found) for name, found in matches.items()):
        matches = {name: found for name, found in matches.items() if in_same_folder(name, found)}
    found_paths = [path or _joined(root, matches.get(name)) for name, path in zip(names, paths, strict=True)]
    absent = [name for name in missing if name not in matches]
    nearest = {name: clause for name in absent[:_MAX_NEAREST] if (clause := _describe_nearest(name, index))}
    remarks = (_describe_matches(matches, len(names)),) if matches else ()
    return FoundFiles(pd.Series(found_paths, index=names.index, dtype=object), remarks, nearest)


def same_file_error(table: pd.DataFrame, source: Path) -> Exception | None:
    """The error about two images that are one file, by links or spelling; None if every image has a file of its own.

    Args:
        table: Columns ``image_id`` and ``path``.
        source: The label file, or the folder of several, for the message.
    """
    images = table[["image_id", "path"]].dropna().drop_duplicates("image_id")
    first: dict[tuple[object, object], str] = {}
    again = [
        (name, other)
        for name, path in zip(images["image_id"], images["path"], strict=True)
        if (other := first.setdefault(_identity(path) or (path, name), name)) is not name
    ]
    if not again:
        return None
    shown = ", ".join(f"'{shorten(name)}' is the file of '{shorten(other)}'" for name, other in again[:5])
    more = ", ..." if len(again) > 5 else ""
    return ValueError(
        f"Expected every image once in '{source}' but {len(again)} are files of other images: {shown}{more}. Keep one "
        "row for each file."
    )


def _exact(prefix: str, name: str) -> str | None:
    path = prefix + name
    return path if os.path.isfile(path) else None  # noqa: PTH113  # a Path for each takes much time


def _joined(root: Path, name: str | None) -> str | None:
    return None if name is None else str(root / name)


def _files_below(root: Path) -> list[str] | None:
    """Paths of the files below a folder that may be images by their names; None if there are too many files.

    Links to folders are not followed.
    """
    found: list[str] = []
    count = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        prefix = os.path.relpath(folder, root)
        count += len(files)
        if count > _MAX_FILES:
            return None
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  # a Path for each takes much time
            if name[0] != "." and (not suffix[1:] or suffix[1:].isdigit() or suffix in IMAGE_SUFFIXES):
                found.append(name if prefix == "." else f"{prefix}/{name}".replace(os.sep, "/"))
    return found


def _identity(path: str) -> tuple[int, int] | None:
    """What tells that two paths are one file; None if the file system does not say, or there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116  # a Path for each takes much time
    except OSError:  # such as a link to nothing, which is told where it is read
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def _describe_nearest(name: str, index: NameIndex) -> str:
    fitting = index.fitting(name)
    if len(fitting) > 1:
        return (
            f"several files fit, such as '{shorten(fitting[0])}' and '{shorten(fitting[1])}': write it with its folder"
        )
    near = index.nearest(name)
    return "" if near is None else f"the nearest file is '{shorten(near)}'"


def _describe_matches(matches: Mapping[str, str], total: int) -> str:
    name, path = next(iter(matches.items()))
    folders = sorted({os.path.dirname(found) or "." for found in matches.values()})  # noqa: PTH120
    where = f", in {_shown_folders(folders)}" if any(folder not in ("", ".") for folder in folders) else ""
    return (
        f"{len(matches):,} of {total:,} images are found in another place or spelling than the table's{where}: "
        f"'{shorten(name)}' is '{shorten(path)}'"
    )


def _shown_folders(folders: Sequence[str]) -> str:
    shown = ", ".join(f"'{shorten(folder)}'" for folder in folders[:3])
    return f"{shown} and {len(folders) - 3:,} other folders" if len(folders) > 3 else shown
