"""The folders that callbacks, loggers and the trainer write to, beside the run's: which setting names each of them."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_lightning.utils.distributed import is_rank_zero

if TYPE_CHECKING:
    from cxr_lightning.app.train_settings import TrainSettings

PART_GROUPS = ("callbacks", "logger", "trainer")
"""Keys below which settings name folders."""
_FOLDER = re.compile(r"(?<!sub_)(dir|dirpath|folder|path)$")  # a logger's sub_dir is within its folder
_FILE, _FOLDER_OF_FILE = "filename", "dirpath"
_WRITTEN = (_FOLDER_OF_FILE, "folder", "save_dir", _FILE)
"""Names of the settings whose folders are certainly written to."""


def part_folders(groups: Mapping[str, Any], run_folder: str) -> dict[str, Path]:
    """The folders that settings of parts name, by the settings' keys; without those in the run's folder.

    Args:
        groups: The settings below ``PART_GROUPS``, with plain values.
        run_folder: The run's folder, which settings of the run move.
    """
    found = {key: _absolute(folder) for group in PART_GROUPS for key, folder in _folders(groups.get(group), group)}
    return {key: folder for key, folder in found.items() if not folder.is_relative_to(_absolute(run_folder))}


def folder_problems(settings: "TrainSettings") -> Iterator[str]:
    """Describe the folders of callbacks and loggers in which nothing can be made.

    Args:
        settings: The settings, whose nodes may have values of a wrong type.
    """
    if not is_rank_zero():
        return
    for key, folder in part_folders(dict(settings), settings.paths.output_dir).items():
        if key.rpartition(".")[2] in _WRITTEN:
            try:
                _try_to_make(folder)
            except OSError as error:
                yield f"Expected to write in '{folder}' but got: {error.strerror}. `{key}` moves it."


def _folders(node: object, key: str) -> Iterator[tuple[str, str]]:
    """The folders that a node's settings name, with their keys; those of a service are none."""
    if not isinstance(node, Mapping):
        return
    for name, value in node.items():
        path = f"{key}.{name}"
        if isinstance(value, Mapping):
            yield from _folders(value, path)
        elif isinstance(value, str) and value and "://" not in value:
            if _FOLDER.search(str(name)):
                yield path, value
            elif name == _FILE and os.sep in (known := value.partition("{")[0]):  # the rest is filled in later
                yield path, str(Path(str(node.get(_FOLDER_OF_FILE) or ""), f"{known}_").parent)


def _absolute(folder: str) -> Path:
    return Path(os.path.expanduser(folder)).absolute()  # noqa: PTH111  # Path's raises for a user that is not known


def _try_to_make(folder: Path) -> None:
    """Make a folder in another one, or where that would be made, and remove it again."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    Path(tempfile.mkdtemp(prefix=".cxr_", dir=existing)).rmdir()
