"""Images that are decoded and resized for a network, the next batch while the last one is computed."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
from cxr_lightning.imaging.image_sources import is_array
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
        source: What the caller gave.
        pixels: The network's input, ``(S, S)`` uint8; None if the image was rejected.
        flags: Its quality flags.
        rejection: Why it was rejected.
    """

    source: NamedSource
    pixels: NDArray[np.uint8] | None = None
    flags: tuple[QualityFlag, ...] = ()
    rejection: ImageRejectedError | None = None


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

    def batches(self, images: "Iterable[ImageSource]", batch_size: int) -> Iterator[list[DecodedInput]]:
        """Decode images in their order; no more than two batches are in memory.

        Args:
            images: Images of any kinds.
            batch_size: Maximum number of images in a batch.

        Raises:
            ValueError: If the range is none, or an image is of another type, shape, dtype or range than expected.
        """
        check_value_range(self.value_range)
        sources = name_sources(images)

        def decode_next() -> list[DecodedInput]:
            return [self.decode(source) for source in islice(sources, batch_size)]

        with ThreadPoolExecutor(max_workers=1) as pool:
            following = pool.submit(decode_next)
            while inputs := following.result():
                following = pool.submit(decode_next)
                yield inputs

    def decode(self, source: NamedSource) -> DecodedInput:
        """Decode one image, or say why it is rejected."""
        value_range = self.value_range if self.alone or is_array(source.source) else None
        try:
            image = source.decode(value_range=value_range, force=self.force)
        except ImageRejectedError as error:
            return DecodedInput(source, rejection=error)
        flags = tuple(find_quality_flags(image, self.image_size))
        return DecodedInput(source, resize(image.pixels, self.image_size, self.interpolation), flags)
