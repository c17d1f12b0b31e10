"""Heat maps drawn over their images, on a dark background as radiographs are read."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from cxr_lightning.explain.results import Overlay
from cxr_lightning.report.captions import alternative_text, target_name
from cxr_lightning.report.formats import format_probability
from cxr_lightning.report.theme import figure_style, shorten
from cxr_lightning.report.wording import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.coordinates import IMAGE_EXTENT

Colors = NDArray[np.float64]

_DARK, _LIGHT, _MUTED, _ORANGE, _CYAN = "#15181c", "#e4e7ea", "#a3acb6", "#f0935f", "#3fe0ff"
_WIDTH, _PANEL, _MARGIN, _TOP = 6.0, 2.6, 0.1, 0.92  # inches
_HEIGHT = _TOP + _PANEL + _MARGIN
_MAX_OPACITY = 0.75  # where the map is 1


def overlay_figure(overlay: Overlay, title: str, *, synthetic: bool = False) -> Figure:
    """Draw the image, and beside it the image with its heat map; annotated boxes are outlined in both.

    Args:
        overlay: The image and its heat map.
        title: Title, which names the data.
        synthetic: Whether the image is synthetic; the title is then highlighted.
    """
    with figure_style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor=_DARK)
        figure.set_label(alternative_text(overlay))
        _headings(figure, overlay, title, synthetic)
        gray = np.repeat(overlay.image[..., None] / 255, 3, axis=2)
        _panel(figure, 0, gray, overlay)
        right = _panel(figure, 1, blend_heatmap(gray, overlay.heatmap), overlay)
        if overlay.empty:
            frame = {"boxstyle": "round,pad=0.4", "facecolor": _DARK, "edgecolor": _MUTED, "linewidth": 0.7}
            right.text(0.5, 0.93, "no positive evidence", color=_LIGHT, ha="center", va="center", bbox=frame)
        else:
            _color_bar(figure)
    return figure


def blend_heatmap(gray: Colors, heatmap: NDArray[np.float32]) -> Colors:
    """Blend a heat map into an image, more opaque where the map is higher; where the map is 0 the image is unchanged.

    Args:
        gray: ``(H, W, 3)`` in [0, 1].
        heatmap: ``(H, W)`` in [0, 1].

    Example:
        >>> blend_heatmap(np.full((1, 1, 3), 0.5), np.zeros((1, 1), dtype=np.float32)).tolist()
        [[[0.5, 0.5, 0.5]]]
    """
    opacity = _MAX_OPACITY * np.sqrt(heatmap, dtype=np.float64)[..., None]
    colors: Colors = np.asarray(colormaps["inferno"](heatmap))[..., :3]
    blended: Colors = (1 - opacity) * gray + opacity * colors
    return blended


def _headings(figure: Figure, overlay: Overlay, title: str, synthetic: bool) -> None:
    facts = f"probability {format_probability(overlay.probability)}, target {target_name(overlay)}"
    _line(figure, 0.09, shorten(title, 90), 7.5, _ORANGE if synthetic else _MUTED, bold=synthetic)
    _line(figure, 0.25, NOT_FOR_CLINICAL_USE, 7.5, _MUTED)
    _line(figure, 0.42, f"{shorten(overlay.label)}, {shorten(overlay.kind)}", 11, _LIGHT, bold=True)
    _line(figure, 0.65, f"{facts}, image {shorten(overlay.image_id, 40)}", 9, _LIGHT)


def _line(figure: Figure, offset: float, content: str, size: float, color: str, *, bold: bool = False) -> None:
    """Draw text at an offset in inches from the figure's top, smaller where it would not fit."""
    text = figure.text(_MARGIN / _WIDTH, 1 - offset / _HEIGHT, content, color=color, va="top", fontsize=size)
    text.set_fontweight("bold" if bold else "normal")
    max_width = (1 - 4 * _MARGIN / _WIDTH) * figure.bbox.width  # widths are not quite in proportion to sizes
    text.set_fontsize(size * min(1, max_width / max(text.get_window_extent().width, 1)))


def _panel(figure: Figure, column: int, image: Colors, overlay: Overlay) -> Axes:
    """Draw one panel; its coordinates are fractions of the image's sides, from the upper left corner."""
    left, bottom = _MARGIN + column * (_PANEL + _MARGIN), _MARGIN
    axes = figure.add_axes((left / _WIDTH, bottom / _HEIGHT, _PANEL / _WIDTH, _PANEL / _HEIGHT))
    axes.imshow(image, extent=IMAGE_EXTENT, interpolation="bilinear")
    axes.set_axis_off()
    for x, y, width, height in overlay.boxes:
        outline = Rectangle((x, y), width, height, fill=False, edgecolor=_CYAN, linewidth=1.1, joinstyle="miter")
        outline.set_path_effects([withStroke(linewidth=2.6, foreground="black")])
        axes.add_patch(outline)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    return axes


def _color_bar(figure: Figure) -> None:
    """Draw the color bar, with the colors as they appear over a middle gray."""
    left, bottom, width, height = 2 * (_PANEL + _MARGIN) + _MARGIN, _MARGIN + 0.05, 0.1, _PANEL - 0.1
    axes = figure.add_axes((left / _WIDTH, bottom / _HEIGHT, width / _WIDTH, height / _HEIGHT))
    values = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    axes.imshow(blend_heatmap(np.full((256, 1, 3), 0.5), values), extent=(0, 1, 0, 1), aspect="auto", origin="lower")
    axes.set_xticks([])
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.yaxis.tick_right()
    axes.tick_params(length=0, pad=2, labelsize=8, labelcolor=_LIGHT)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("fraction of this map's maximum", color=_LIGHT, fontsize=8, labelpad=2)
