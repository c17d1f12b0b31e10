"""Heat maps over their images as pictures of Pillow, without matplotlib: dark where a map is low, yellow where high."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_OPACITY = 0.75
"""Opacity where a heat map is 1."""
_ANCHORS = (
    *("000004", "07051b", "160b39", "2b0b57", "420a68", "57106e", "6a176e", "7f1e6c", "932667", "a82e5f", "bc3754"),
    *("cc4248", "dd513a", "ea632a", "f37819", "f98e09", "fca50a", "fbbe23", "f6d746", "f1ef75", "fcffa4"),
)
"""Colors of matplotlib's map ``inferno`` at equal distances."""
_LEVELS = 256


def _color_table() -> NDArray[np.float64]:
    anchors = np.array([list(bytes.fromhex(color)) for color in _ANCHORS]) / 255
    places = np.linspace(0, len(anchors) - 1, _LEVELS)
    return np.stack([np.interp(places, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)


_COLORS = _color_table()


def heatmap_colors(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    """Colors of a heat map, within 5 of 255 those of matplotlib's ``inferno``.

    Args:
        heatmap: ``(H, W)`` in [0, 1].

    Returns:
        ``(H, W, 3)`` in [0, 1].
    """
    colors: NDArray[np.float64] = _COLORS[(heatmap * _LEVELS).astype(np.int64).clip(0, _LEVELS - 1)]
    return colors


def heatmap_opacity(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    """Opacity of a heat map over its image, ``(H, W, 1)``: 0 where the map is 0.

    Args:
        heatmap: ``(H, W)`` in [0, 1].
    """
    opacity: NDArray[np.float64] = MAX_OPACITY * np.sqrt(heatmap, dtype=np.float64)[..., None]
    return opacity


def heatmap_picture(image: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> Image.Image:
    """An image with its heat map over it, in RGB.

    Args:
        image: ``(S, S)`` uint8.
        heatmap: ``(S, S)`` in [0, 1].
    """
    opacity = heatmap_opacity(heatmap)
    blended = (1 - opacity) * (image[..., None] / 255) + opacity * heatmap_colors(heatmap)
    return Image.fromarray((blended * 255).round().astype(np.uint8))


def png_bytes(image: Image.Image) -> bytes:
    """The bytes of a picture as a PNG file."""
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
