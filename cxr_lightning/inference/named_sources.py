"""Images that a caller gives, one or several, each with the name that messages and results have for it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.image_sources import check_source, is_source, to_path

if TYPE_CHECKING:
    from cxr_lightning.imaging.image_sources import ImageSource


class NamedSource(NamedTuple):
    """An image that a caller gives, and its name."""

    source: "ImageSource | DecodedImage | ImageRejectedError"
    """What the caller gave, or what has been made of it."""
    name: str
    """The path, a file object's own name, or ``image N`` by the position."""
    path: Path | None
    """The file; None for an image in memory."""


def several_sources(images: "ImageSource | Iterable[ImageSource]") -> "Iterable[ImageSource]":
    """One or several images as several; what is certain to be refused in a list or tuple is refused before all else.

    Args:
        images: One image of any kind, or several: a list, a generator, ... An array is one image.

    Raises:
        ValueError: If it is something else, or a list with something else.
    """
    if is_source(images) or isinstance(images, Mapping) or not isinstance(images, Iterable):
        images = [cast("ImageSource", images)]
    several = cast("Iterable[ImageSource]", images)
    if isinstance(several, list | tuple):
        for position, source in enumerate(several, start=1):
            check_source(source, f"image {position}")
    return several


def name_sources(images: "Iterable[ImageSource]") -> Iterator[NamedSource]:
    """Give every image its name.

    Args:
        images: From :func:`several_sources`.
    """
    for position, source in enumerate(images, start=1):
        if isinstance(source, str | os.PathLike):
            path = to_path(source)
            yield NamedSource(path, str(path), path)
            continue
        own = getattr(source, "name", None) if hasattr(source, "read") else None
        yield NamedSource(source, own if isinstance(own, str) and own else f"image {position}", None)
