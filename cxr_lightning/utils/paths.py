"""Checks of files and paths: absent files, impossible names, Git-LFS pointers, URLs, paths out of their folder."""

import stat
import unicodedata
from pathlib import Path

from cxr_lightning.utils.plain_text import hidden_characters, visible

MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 4095
"""Maximum length of a file's or folder's name, and of a whole path, in UTF-8."""


def file_problem(path: str | Path) -> str:
    """Why a path is not that of a file that can be read, as a clause; empty if it is.

    Args:
        path: The user's path.

    Example:
        >>> file_problem("/"), file_problem("/absent.csv"), file_problem(__file__)
        ('it is a folder', 'there is no such file', '')
    """
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "it is a link to a file that is not there" if Path(path).is_symlink() else "there is no such file"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except ValueError:  # a NUL byte
        return "there is no such file"
    if stat.S_ISDIR(mode):
        return "it is a folder"
    return "" if stat.S_ISREG(mode) else "it is no regular file"


def name_problem(name: str, folder: Path) -> str:
    r"""Why no file in a folder can have a name, as a clause; empty if one can.

    Args:
        name: Path of a file relative to the folder.
        folder: The folder.

    Example:
        >>> name_problem("images/a.png", Path("/data")), name_problem("a\n.png", Path("/data"))
        ('', "has the control character '\\n'")
    """
    if hidden := hidden_characters(name):
        kind = "control" if unicodedata.category(hidden[0]) == "Cc" else "invisible"
        return f"has the {kind} character '{visible(hidden[0])}'"
    longest = max(len(part.encode()) for part in name.split("/"))
    if longest > MAX_NAME_BYTES:
        return f"has a file or folder name of {longest:,} bytes where {MAX_NAME_BYTES} are possible"
    length = len(f"{folder.absolute()}/{name}".encode())
    return f"makes a path of {length:,} bytes where {MAX_PATH_BYTES:,} are possible" if length > MAX_PATH_BYTES else ""


def is_lfs_pointer(head: bytes) -> bool:
    r"""Whether a file is a Git-LFS pointer, which a clone without Git LFS holds in place of the file itself.

    Args:
        head: First bytes of the file, at least 23 of them.

    Example:
        >>> is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:0")
        True
        >>> is_lfs_pointer(b"version 1.0")
        False
    """
    return head.startswith(b"version https://git-lfs")


def refuse_url(path: str | Path, expected: str, remedy: str = "Download it and check its sha256.") -> None:
    """Refuse a URL where a local file is required: this package downloads nothing from one.

    Args:
        path: The user's path; as text, since a ``Path`` of a URL has lost one of its slashes and is not recognized.
        expected: What is expected in its place, for the message.
        remedy: What to do, for the message.

    Raises:
        ValueError: If it is a URL.

    Example:
        >>> refuse_url("x.ckpt", "a local checkpoint")
        >>> refuse_url("https://host/x.ckpt", "a local checkpoint")
        Traceback (most recent call last):
        ...
        ValueError: Expected a local checkpoint but got the URL 'https://host/x.ckpt'. Download it and check its sha256.
    """
    if "://" in str(path):
        raise ValueError(f"Expected {expected} but got the URL '{path}'. {remedy}")


def escapes_root(name: str) -> bool:
    r"""Whether a relative path may lead out of the folder or archive that it is joined to, on any operating system.

    Refused are absolute paths, drive letters and every ``..``, with slashes and backslashes alike.

    Args:
        name: Path of a file in a table, or of a member of an archive.

    Example:
        >>> [escapes_root(name) for name in ("a.png", "images/a..b.png", "images\\a.png")]
        [False, False, False]
        >>> [escapes_root(name) for name in ("/etc/passwd", "../a.png", "images\\..\\..\\a.png", "C:a.png")]
        [True, True, True, True]
    """
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name[:3]
