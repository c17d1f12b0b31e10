"""Places in an image: fractions of its sides, pixels of the network's square input, cells of a heat map.

Annotated boxes are in fractions of the image's sides, from the upper left corner; a data set's layout converts its
own unit when it reads them. Images are resized to the network's square input without keeping their aspect ratio, so a
fraction of the image file's side is the same fraction of the square input's side and of the heat map's, and nothing
has to be converted. (Padding or cropping to a square would have to be converted here.)

A grid of ``n`` pixels or cells along a side divides it evenly: number ``i`` covers the fractions from ``i / n`` to
``(i + 1) / n``, and its center is at ``(i + 0.5) / n``. Bilinear resizing with ``align_corners=False`` follows the
same rule, so a heat map that is upsampled that way is not shifted against the image.
"""

import numpy as np
from numpy.typing import NDArray

FractionalBox = tuple[float, float, float, float]
"""``(x, y, width, height)`` of a box, in fractions of the image's sides; x and y are its upper left corner."""

IMAGE_EXTENT = (0.0, 1.0, 1.0, 0.0)
"""Left, right, bottom and top edge of an image, for matplotlib's ``imshow``: the axes are then in fractions, and a box
``(x, y, width, height)`` is drawn as ``Rectangle((x, y), width, height)``."""


def grid_centers(size: int) -> NDArray[np.float64]:
    """Centers of a grid's pixels or cells along one side, ``(size,)`` in fractions of the side.

    Example:
        >>> grid_centers(4).tolist()
        [0.125, 0.375, 0.625, 0.875]
    """
    centers: NDArray[np.float64] = (np.arange(size) + 0.5) / size
    return centers


def cell_of_pixel(cells: int, size: int) -> NDArray[np.intp]:
    """Number of the heat map's cell that holds each pixel along one side, ``(size,)``.

    Args:
        cells: Cells of the heat map along the side.
        size: Pixels of the image along the side.

    Example:
        >>> cell_of_pixel(2, 5).tolist()
        [0, 0, 0, 1, 1]
    """
    numbers: NDArray[np.intp] = (np.arange(size) * cells) // size
    return numbers
