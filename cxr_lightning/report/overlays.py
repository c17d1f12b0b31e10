"""Heat maps over the images that they are of: dark pictures, as X-rays are looked at."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from cxr_lightning.explain.explanation import Overlay
from cxr_lightning.report.captions import description, probability, target
from cxr_lightning.report.tables import NOT_FOR_CLINICAL_USE
from cxr_lightning.report.theme import drawing, shortened

Colors = NDArray[np.float64]

_DARK, _LIGHT, _QUIET, _ORANGE, _CYAN = "#15181c", "#e4e7ea", "#a3acb6", "#f0935f", "#3fe0ff"
_WIDTH, _PANEL, _MARGIN, _HEAD = 6.0, 2.6, 0.1, 0.92  # inches
_HEIGHT = _HEAD + _PANEL + _MARGIN
_MOST = 0.75  # of the image is covered where the map is at its maximum


def overlay_figure(overlay: Overlay, title: str, *, synthetic: bool = False) -> Figure:
    """The image, and beside it the same under its heat map; annotated boxes are outlined in both.

    Args:
        overlay: To draw.
        title: What data it is of.
        synthetic: Whether the image is made, not taken; the title then stands out.
    """
    with drawing():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor=_DARK)
        figure.set_label(description(overlay))
        _headings(figure, overlay, title, synthetic)
        grey = np.repeat(overlay.image[..., None] / 255, 3, axis=2)
        _panel(figure, 0, grey, overlay)
        second = _panel(figure, 1, blended(grey, overlay.heatmap), overlay)
        if overlay.empty:
            frame = {"boxstyle": "round,pad=0.4", "facecolor": _DARK, "edgecolor": _QUIET, "linewidth": 0.7}
            second.text(0.5, 0.93, "no positive evidence", color=_LIGHT, ha="center", va="center", bbox=frame)
        else:
            _color_bar(figure)
    return figure


def blended(grey: Colors, heatmap: NDArray[np.float32]) -> Colors:
    """An image under a heat map that covers it the more the hotter it is; where the map is 0 the image is as before.

    Args:
        grey: ``(H, W, 3)`` in [0, 1].
        heatmap: ``(H, W)`` in [0, 1].

    Example:
        >>> blended(np.full((1, 1, 3), 0.5), np.zeros((1, 1), dtype=np.float32)).tolist()
        [[[0.5, 0.5, 0.5]]]
    """
    opacity = _MOST * np.sqrt(heatmap, dtype=np.float64)[..., None]
    hot: Colors = np.asarray(colormaps["inferno"](heatmap))[..., :3]
    mixed: Colors = (1 - opacity) * grey + opacity * hot
    return mixed


def _headings(figure: Figure, overlay: Overlay, title: str, synthetic: bool) -> None:
    known = f"probability {probability(overlay.probability)}, target {target(overlay)}"
    _line(figure, 0.09, shortened(title, 90), 7.5, _ORANGE if synthetic else _QUIET, bold=synthetic)
    _line(figure, 0.25, NOT_FOR_CLINICAL_USE, 7.5, _QUIET)
    _line(figure, 0.42, f"{shortened(overlay.label)}, {shortened(overlay.kind)}", 11, _LIGHT, bold=True)
    _line(figure, 0.65, f"{known}, image {shortened(overlay.image_id, 40)}", 9, _LIGHT)


def _line(figure: Figure, down: float, words: str, size: float, color: str, *, bold: bool = False) -> None:
    """Words some inches below the figure's top, smaller where they would not fit."""
    text = figure.text(_MARGIN / _WIDTH, 1 - down / _HEIGHT, words, color=color, va="top", fontsize=size)
    text.set_fontweight("bold" if bold else "normal")
    room = (1 - 4 * _MARGIN / _WIDTH) * figure.bbox.width  # widths are not quite in proportion to sizes
    text.set_fontsize(size * min(1, room / max(text.get_window_extent().width, 1)))


def _panel(figure: Figure, place: int, picture: Colors, overlay: Overlay) -> Axes:
    """Its coordinates are fractions of the image, from the upper left corner."""
    left, bottom = _MARGIN + place * (_PANEL + _MARGIN), _MARGIN
    axes = figure.add_axes((left / _WIDTH, bottom / _HEIGHT, _PANEL / _WIDTH, _PANEL / _HEIGHT))
    axes.imshow(picture, extent=(0, 1, 1, 0), interpolation="bilinear")
    axes.set_axis_off()
    for x, y, width, height in overlay.boxes:
        outline = Rectangle((x, y), width, height, fill=False, edgecolor=_CYAN, linewidth=1.1, joinstyle="miter")
        outline.set_path_effects([withStroke(linewidth=2.6, foreground="black")])
        axes.add_patch(outline)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    return axes


def _color_bar(figure: Figure) -> None:
    """The colours as they are over a middle grey."""
    left, bottom, width, height = 2 * (_PANEL + _MARGIN) + _MARGIN, _MARGIN + 0.05, 0.1, _PANEL - 0.1
    axes = figure.add_axes((left / _WIDTH, bottom / _HEIGHT, width / _WIDTH, height / _HEIGHT))
    strengths = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    axes.imshow(blended(np.full((256, 1, 3), 0.5), strengths), extent=(0, 1, 0, 1), aspect="auto", origin="lower")
    axes.set_xticks([])
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.yaxis.tick_right()
    axes.tick_params(length=0, pad=2, labelsize=8, labelcolor=_LIGHT)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("share of this map's maximum", color=_LIGHT, fontsize=8, labelpad=2)
