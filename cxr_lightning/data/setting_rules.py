"""Rules of the data's settings that need no data: the constructors check them, and so does the configuration's check.

It imports nothing heavy, so that a wrong setting is found at once.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

MIN_IMAGE_SIZE = 32
"""Minimum side of the images in pixels; most networks halve the size five times."""
MAX_IMAGE_SIZE = 4096
"""Maximum side of the images in pixels."""
MAX_WORKERS = max(16, 4 * (os.cpu_count() or 1))
"""Maximum number of processes that load images, by the machine's cores: each takes hundreds of megabytes."""


_RANGES: Mapping[str, tuple[int, int | None]] = MappingProxyType(
    {
        "image_size": (MIN_IMAGE_SIZE, MAX_IMAGE_SIZE),
        "batch_size": (1, None),
        "shuffle_seed": (0, None),
        "num_workers": (0, MAX_WORKERS),
    }
)


def check_numbers(**numbers: int) -> None:
    """Refuse numbers of the data module's arguments that are out of their range.

    Args:
        numbers: The arguments by name.

    Raises:
        ValueError: If one is.
    """
    for name, value in numbers.items():
        minimum, maximum = _RANGES[name]
        if value < minimum:
            raise ValueError(f"Expected `data.{name}` to be at least {minimum} but got {value}.")
        if maximum is not None and value > maximum:
            raise ValueError(f"Expected `data.{name}` to be at most {maximum} but got {value}.")


def root_problem(root: str | Path) -> str | None:
    """Describe a data set's folder that is not there; None if it is."""
    if Path(root).is_dir():
        return None
    found = "that is a file" if Path(root).is_file() else "there is none"
    return f"Expected the data set's folder at '{root}' but {found}. Set `data.root`."


def flags_problem(on_flag: object, *, cache: object) -> str | None:
    """Describe why flagged images cannot be left out or refused: quality flags are found while images are prepared.

    Args:
        on_flag: ``keep``, ``skip`` or ``error``.
        cache: Whether images are prepared.

    Returns:
        None if flagged images are found, or kept.
    """
    if on_flag not in ("skip", "error") or cache:
        return None
    return (
        f"Expected prepared images with 'data.on_flag={on_flag}' but they are off. Set 'data.cache=true' (evaluate.py: "
        "cache=true), or 'data.on_flag=keep'."
    )


def skipping_problem(on_bad_image: object, *, cache: object) -> str | None:
    """Describe why bad images cannot be skipped: damage inside a file is only found by decoding it.

    Args:
        on_bad_image: ``error`` or ``skip``.
        cache: Whether images are prepared.

    Returns:
        None if they can be skipped, or are not to be.
    """
    if on_bad_image != "skip" or cache:
        return None
    return (
        "Expected prepared images with 'data.on_bad_image=skip' but they are off. Set 'data.cache=true' (evaluate.py: "
        "cache=true), or replace the bad images."
    )
