"""Names in the place of the folders that Hydra chooses after its settings are checked."""

import os
import secrets
from pathlib import PurePath

from cxr_lightning.utils.paths import MAX_NAME_BYTES, MAX_PATH_BYTES
from cxr_lightning.utils.plain_text import escape, hidden_characters

OUTPUT_FOLDER = f"/{secrets.token_hex(8)}"
"""Stands for ``hydra.runtime.output_dir``, the folder of a run or of a sweep's job; nobody else can write it down."""
RUN_FOLDER = f"/{secrets.token_hex(8)}"
"""Stands for ``hydra.run.dir``."""
SWEEP_FOLDER = f"/{secrets.token_hex(8)}"
"""Stands for ``hydra.sweep.dir``."""
JOB_FOLDER = secrets.token_hex(8)
"""Stands for ``hydra.sweep.subdir``, the name of a job's folder in that of its sweep."""
_FOLDERS = {OUTPUT_FOLDER: "FOLDER", RUN_FOLDER: "FOLDER", SWEEP_FOLDER: "FOLDER", JOB_FOLDER: "NAME"}


def check_visible(key: str, text: str, *, lines: bool = False) -> None:
    """Refuse a text with characters that do not show themselves, such as those that command a terminal.

    Args:
        key: Dotted key of the text, for errors.
        text: The text.
        lines: Whether it may have several lines.

    Raises:
        ValueError: If there are such characters.
    """
    hidden = hidden_characters(text)
    if lines:
        hidden = hidden.replace("\n", "").replace("\t", "")
    if hidden:
        raise ValueError(
            f"Expected {'visible text' if lines else 'one line of visible text'} as '{key}' but it holds "
            f"{escape(hidden[0])}. Delete that."
        )


def check_no_folder(key: str, text: str) -> None:
    """Refuse a text with the name of a folder, whose characters are not known yet.

    Args:
        key: Dotted key of the text, for errors.
        text: The text, with the names of this module.

    Raises:
        ValueError: If it holds one.
    """
    if any(folder in text for folder in _FOLDERS):
        raise ValueError(
            f"Expected text without the folder of a run or a sweep as '{key}' but got '{shown_folders(text)}'. Write "
            "it out."
        )


def shown_folders(text: str) -> str:
    """A text for errors: words in the place of the names of this module.

    Args:
        text: The text.
    """
    for folder, word in _FOLDERS.items():
        text = text.replace(folder, word)
    return text


def check_folder(key: str, text: str) -> None:
    """Refuse a folder of a name that no file system takes.

    Args:
        key: Dotted key of the folder, for errors.
        text: The folder.

    Raises:
        ValueError: If its name is too long, or holds what no name can.
    """
    try:
        longest, length = max(map(_length, PurePath(text).parts), default=0), _length(text)
    except ValueError as error:
        raise ValueError(f"Expected the name of a folder as '{key}' but {error}. Correct it.") from error
    if longest > MAX_NAME_BYTES or length > MAX_PATH_BYTES:
        raise ValueError(
            f"Expected names of at most {MAX_NAME_BYTES} bytes, together at most {MAX_PATH_BYTES:,}, as '{key}' but "
            f"'{shown_folders(text)[:50]}...' has one of {longest:,}, together {length:,}. Shorten it."
        )


def _length(name: str) -> int:
    if "\0" in name:
        raise ValueError("it holds a NUL character")
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a character") from error


def check_job_name(key: str, name: object) -> None:
    """Refuse the name of a job's folder that is not in the folder of its sweep.

    Args:
        key: Its dotted key, for errors.
        name: The resolved name, which may have several parts.

    Raises:
        ValueError: If it leaves that folder, or no file system takes it.
    """
    if not isinstance(name, str | int):
        raise ValueError(f"Expected the name of a folder as '{key}' but got {str(name)[:200]!r}. Correct it.")
    path = PurePath(str(name))
    if path.anchor or ".." in path.parts:
        raise ValueError(
            f"Expected a folder within that of the sweep as '{key}' but got '{shown_folders(str(name))[:200]}'. Give "
            "a name without '..' and '/' at its start; hydra.sweep.dir moves the whole sweep."
        )
    check_folder(key, str(name))
