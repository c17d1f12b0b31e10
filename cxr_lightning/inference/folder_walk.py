"""Walk through folders in the order of names, without keeping what is in them."""

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from glob import has_magic
from pathlib import Path

from cxr_lightning.utils.external_sort import NamedEntry, sort_entries
from cxr_lightning.utils.path_list import path_digest

HIDDEN = "hidden file"
NOT_FOLLOWED = "link to a folder"
"""One that is not followed: to a hidden folder, to one around it, or to one that is searched already."""

PassOver = Callable[[str, str], object]
"""Takes the path and the kind of what is passed over."""


def walk_folder(folder: Path, pass_over: PassOver | None = None) -> Iterator[NamedEntry]:
    """A folder and those below it that are not hidden, each before what is in it, and all their files, by their paths.

    Links to folders are followed, each folder once, and none to a folder around: that would lead through much that
    nobody has named. Links that are not followed, and what is in hidden folders, are passed over. What is
    kept are 16 bytes of each folder, and nothing of its files.

    Args:
        folder: The folder.
        pass_over: Called with what is passed over.

    Raises:
        OSError: If a folder cannot be read: otherwise its images would be missing silently.
    """
    visited = {path_digest(parent) for parent in folder.resolve().parents}
    add = pass_over or (lambda path, kind: None)
    places: list[tuple[str, Iterator[NamedEntry]]] = []

    def enter(place: str) -> Iterator[NamedEntry]:
        if (real := path_digest(os.path.realpath(place))) in visited:  # a link leads here, or led here before
            add(place, NOT_FOLLOWED)
            return
        visited.add(real)
        places.append((place, _sorted_entries(place)))
        yield place, True

    yield from enter(str(folder))
    while places:
        place, entries = places[-1]
        for name, is_folder in entries:
            path = os.path.join(place, name)  # noqa: PTH118  # a Path for each of a million files is slow
            if not is_folder:
                yield path, False
            elif name[0] != ".":
                yield from enter(path)
                break
            elif pass_over is not None:
                _pass_over_hidden(path, pass_over)
        else:
            places.pop()


def _sorted_entries(folder: str) -> Iterator[NamedEntry]:
    try:
        with os.scandir(folder) as entries:
            return sort_entries((entry.name, _is_folder(entry)) for entry in entries)
    except FileNotFoundError:  # it has just been removed
        return iter(())


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _pass_over_hidden(folder: str, pass_over: PassOver) -> None:
    """Pass over the files in a hidden folder, and links to folders, which are not followed."""
    if os.path.islink(folder):  # noqa: PTH114
        pass_over(folder, NOT_FOLLOWED)
        return
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if _is_folder(entry) and not entry.is_symlink():
                        folders.append(entry.path)
                    else:
                        pass_over(entry.path, HIDDEN)
        except OSError:  # it may not be read, and is passed over all the same
            continue


def match_pattern(pattern: str) -> Iterator[Path]:
    """Files and folders that fit a pattern, without hidden ones; ``**`` is any folder below, as in a folder's walk."""
    path = Path(pattern)
    found = _expand_parts(Path(path.anchor), path.parts[1:] if path.anchor else path.parts)
    return (match for match in found if not pattern.endswith(os.sep) or match.is_dir())


def _expand_parts(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Files and folders below a folder that fit the parts of a pattern, in the order of their names."""
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        places = (Path(path) for path, is_folder in walk_folder(folder) if is_folder) if rest else iter([folder])
    elif has_magic(part):
        places = (place for name in _matching_names(folder, part) if not _leads_around(place := folder / name))
    else:
        places = iter([folder / part] if os.path.lexists(folder / part) else [])
    for place in places:
        if not rest or place.is_dir():
            yield from _expand_parts(place, rest)


def _matching_names(folder: Path, part: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name[0] != "." or part[0] == ".")
        return (name for name, _ in sort_entries((name, False) for name in names if fnmatch.fnmatch(name, part)))


def _leads_around(place: Path) -> bool:
    """Whether a path is a link to a folder around it."""
    return place.is_symlink() and place.parent.resolve().is_relative_to(place.resolve())
