"""Checks of files and paths: Git-LFS pointers, URLs, paths that lead out of their folder."""

from pathlib import Path


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
