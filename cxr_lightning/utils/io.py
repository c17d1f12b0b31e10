"""Files that are there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO


@contextmanager
def whole_file(path: Path, errors: Literal["strict", "replace", "backslashreplace"] = "strict") -> Iterator[TextIO]:
    """A text file in UTF-8, written aside first: what was there stays until the new one is whole.

    Args:
        path: File to write; its folder exists.
        errors: What becomes of letters that are none in UTF-8, as of file names in another encoding.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    with unfinished.open("w", newline="", encoding="utf-8", errors=errors) as file:
        yield file
    unfinished.replace(path)
