"""The images of a run that have quality flags: how many, which, and why they are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.data.cache import describe_flags
from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.utils.plain_text import shorten

_MAX_NAMED = 5


@dataclass(frozen=True)
class FlaggedImages:
    """Images with quality flags, at least one.

    Attributes:
        flags: The flags of each image, by its path.
        total: Number of images that were looked at.
        listed_in: The file that lists them, with others of the same cache.
    """

    flags: Mapping[str, Sequence[QualityFlag]]
    total: int
    listed_in: Path

    @property
    def summary(self) -> str:
        """How many images have quality flags, and how often each flag occurs, as a clause."""
        return describe_flags(self.flags, self.total, self.listed_in)

    @property
    def found(self) -> str:
        """How many images have quality flags, and the first five with their flags, as a clause."""
        named = list(self.flags.items())[:_MAX_NAMED]
        first = "; ".join(f"'{shorten(path, 200)}': {_describe(flags)}" for path, flags in named)
        more = "; and more" if len(self.flags) > _MAX_NAMED else ""
        return f"{len(self.flags):,} of {self.total:,} images have quality flags: {first}{more}"

    @property
    def reasons(self) -> dict[str, str]:
        """Why an image is left out, by its path."""
        return {path: f"quality flags: {_describe(flags)}" for path, flags in self.flags.items()}


def _describe(flags: Sequence[QualityFlag]) -> str:
    return ", ".join(f"{flag.code} ({flag.message})" for flag in flags)
