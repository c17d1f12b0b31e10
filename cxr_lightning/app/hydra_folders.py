"""Names in the place of the folders that Hydra chooses after its settings are checked."""

import secrets

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
