"""Images of any kind, decoded and resized for a network."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError, QualityFlag
from cxr_lightning.imaging.image_sources import decode_source, is_array
from cxr_lightning.imaging.pixel_arrays import check_value_range
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import Interpolation, resize
from cxr_lightning.inference.named_sources import NamedSource, name_sources

if TYPE_CHECKING:
    from cxr_lightning.imaging.image_sources import ImageSource


@dataclass(frozen=True)
class DecodedInput:
    """One image, decoded or rejected.

    Attributes:
        name: Its name.
        path: The file; None for an image in memory.
        pixels: The network's input, ``(S, S)`` uint8; None if the image was rejected.
        flags: Its quality flags.
        rejection: Why it was rejected.
    """

    name: str
    path: Path | None
    pixels: NDArray[np.uint8] | None = None
    flags: tuple[QualityFlag, ...] = ()
    rejection: ImageRejectedError | None = None

    @property
    def usable_pixels(self) -> NDArray[np.uint8]:
        """The network's input of an image that was not rejected."""
        assert self.pixels is not None
        return self.pixels


@dataclass(frozen=True)
class InputDecoder:
    """Decodes images for one network.

    Attributes:
        image_size: Side of the network's images in pixels, S.
        interpolation: Interpolation with which images are resized.
        value_range: Values of black and white in arrays of floating-point numbers.
        force: Whether DICOM is decoded that is no chest radiograph by its header.
        alone: Whether the only image is decoded, to which the range must apply; of several it applies to the arrays.
    """

    image_size: int
    interpolation: Interpolation
    value_range: Sequence[float] | None = None
    force: bool = False
    alone: bool = False

    def take(self, images: "Iterable[ImageSource]") -> Iterator[NamedSource]:
        """Name images, and decode those of them that may change once the next one is asked for, or are given twice.

        Only paths and bytes are left for :meth:`decode`, which may be called in threads.

        Args:
            images: Images of any kinds.

        Raises:
            ValueError: If the range is none, or an image is of another type, shape, dtype or range than expected.
        """
        check_value_range(self.value_range)
        for source in name_sources(images):
            is_lasting = source.path is not None or isinstance(source.source, bytes)
            yield source if is_lasting else source._replace(source=self._decode(source))

    def decode(self, source: NamedSource) -> DecodedInput:
        """Decode one image, or say why it is rejected."""
        found = self._decode(source)
        if isinstance(found, ImageRejectedError):
            return DecodedInput(source.name, source.path, rejection=found)
        flags = tuple(find_quality_flags(found, self.image_size))
        pixels = resize(found.pixels, self.image_size, self.interpolation)
        return DecodedInput(source.name, source.path, pixels, flags)

    def _decode(self, named: NamedSource) -> DecodedImage | ImageRejectedError:
        source = named.source
        if isinstance(source, DecodedImage | ImageRejectedError):
            return source
        value_range = self.value_range if self.alone or is_array(source) else None
        try:
            return decode_source(source, named.name, value_range=value_range, force=self.force)
        except ImageRejectedError as error:
            return error
