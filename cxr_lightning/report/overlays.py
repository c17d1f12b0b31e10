"""Heat maps drawn over their images, on a dark background as radiographs are read."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from cxr_lightning.explain.heatmap_pictures import heatmap_opacity
from cxr_lightning.explain.results import Overlay
from cxr_lightning.report.captions import alternative_text, target_name
from cxr_lightning.report.theme import figure_style
from cxr_lightning.utils.coordinates import IMAGE_EXTENT
from cxr_lightning.utils.html_text import format_probability
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import shorten

Colors = NDArray[np.float64]

_DARK, _LIGHT, _MUTED, _ORANGE, _CYAN = "#15181c", "#e4e7ea", "#a3acb6", "#f0935f", "#3fe0ff"
_WIDTH, _PANEL, _MARGIN, _TOP = 6.0, 2.6, 0.1, 0.92  # inches
_HEIGHT = _TOP + _PANEL + _MARGIN
_SMALL_PANEL, _ROW_TOP, _CAPTION, _BAR = 1.7, 0.68, 0.38, 0.55  # inches, of a row
_MAPS_IN_ROW = 4


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
        _panel(figure, (_MARGIN, _MARGIN), _PANEL, _gray_colors(overlay), overlay)
        _map_panel(figure, (2 * _MARGIN + _PANEL, _MARGIN), _PANEL, overlay)
        if not overlay.empty:
            _color_bar(figure, 3 * _MARGIN + 2 * _PANEL, _PANEL)
    return figure


def overlay_row_figure(overlays: Sequence[Overlay], title: str, *, synthetic: bool = False) -> Figure:
    """Draw an image, and in one row with it the same under its heat map of each label; long rows are broken.

    Args:
        overlays: The image's heat maps, one or more.
        title: Title, which names the data.
        synthetic: Whether the image is synthetic; the title is then highlighted.
    """
    maps = min(len(overlays), _MAPS_IN_ROW)
    rows = [overlays[start : start + maps] for start in range(0, len(overlays), maps)]
    step = _SMALL_PANEL + _MARGIN
    size = (step * (maps + 1) + _MARGIN + _BAR, _ROW_TOP + len(rows) * (_CAPTION + step))
    with figure_style():
        figure = Figure(figsize=size, facecolor=_DARK)
        figure.set_label(". ".join(map(alternative_text, overlays)))
        _title_lines(figure, title, synthetic)
        _line(figure, (_MARGIN, 0.42), f"image {shorten(overlays[0].image_id, 40)}", 9)
        for number, row in enumerate(rows):
            top, bottom = _ROW_TOP + number * (_CAPTION + step), size[1] - (number + 1) * (_CAPTION + step) - _ROW_TOP
            _panel(figure, (_MARGIN, bottom + _MARGIN), _SMALL_PANEL, _gray_colors(row[0]), replace(row[0], boxes=()))
            for column, overlay in enumerate(row, start=1):
                left = _MARGIN + column * step
                _line(figure, (left, top), shorten(overlay.label, 30), 9, bold=True, width=_SMALL_PANEL)
                facts = f"probability {format_probability(overlay.probability)}"
                _line(figure, (left, top + 0.19), facts, 8, width=_SMALL_PANEL)
                _map_panel(figure, (left, bottom + _MARGIN), _SMALL_PANEL, overlay)
        if not all(overlay.empty for overlay in overlays):
            _color_bar(figure, step * (maps + 1) + _MARGIN, _SMALL_PANEL)
    return figure


def _gray_colors(overlay: Overlay) -> Colors:
    """The image as colors, ``(H, W, 3)`` in [0, 1]."""
    return np.repeat(overlay.image[..., None] / 255, 3, axis=2)


def blend_heatmap(gray: Colors, heatmap: NDArray[np.float32]) -> Colors:
    """Blend a heat map into an image, more opaque where the map is higher; where the map is 0 the image is unchanged.

    Args:
        gray: ``(H, W, 3)`` in [0, 1].
        heatmap: ``(H, W)`` in [0, 1].

    Example:
        >>> blend_heatmap(np.full((1, 1, 3), 0.5), np.zeros((1, 1), dtype=np.float32)).tolist()
        [[[0.5, 0.5, 0.5]]]
    """
    opacity = heatmap_opacity(heatmap)
    colors: Colors = np.asarray(colormaps["inferno"](heatmap))[..., :3]
    blended: Colors = (1 - opacity) * gray + opacity * colors
    return blended


def _headings(figure: Figure, overlay: Overlay, title: str, synthetic: bool) -> None:
    facts = f"probability {format_probability(overlay.probability)}, target {target_name(overlay)}"
    _title_lines(figure, title, synthetic)
    _line(figure, (_MARGIN, 0.42), f"{shorten(overlay.label, 30)}, {shorten(overlay.kind, 30)}", 11, bold=True)
    _line(figure, (_MARGIN, 0.65), f"{facts}, image {shorten(overlay.image_id, 40)}", 9)


def _title_lines(figure: Figure, title: str, synthetic: bool) -> None:
    _line(figure, (_MARGIN, 0.09), shorten(title, 90), 7.5, color=_ORANGE if synthetic else _MUTED, bold=synthetic)
    _line(figure, (_MARGIN, 0.25), NOT_FOR_CLINICAL_USE, 7.5, color=_MUTED)


def _line(
    figure: Figure,
    place: tuple[float, float],
    content: str,
    size: float,
    *,
    color: str = _LIGHT,
    bold: bool = False,
    width: float | None = None,
) -> None:
    """Draw text at a place in inches from the figure's left and top, smaller where it would not fit a width."""
    total, height = figure.get_size_inches()
    text = figure.text(place[0] / total, 1 - place[1] / height, content, color=color, va="top", fontsize=size)
    text.set_fontweight("bold" if bold else "normal")
    max_width = (total - 4 * _MARGIN if width is None else width) * figure.dpi  # widths are not quite in proportion
    text.set_fontsize(size * min(1, max_width / max(text.get_window_extent().width, 1)))


def _panel(figure: Figure, place: tuple[float, float], side: float, image: Colors, overlay: Overlay) -> Axes:
    """Draw one panel at a place in inches from the figure's left and bottom; its coordinates are fractions.

    They are fractions of the image's sides, from the upper left corner.
    """
    width, height = figure.get_size_inches()
    axes = figure.add_axes((place[0] / width, place[1] / height, side / width, side / height))
    axes.imshow(image, extent=IMAGE_EXTENT, interpolation="bilinear")
    axes.set_axis_off()
    for x, y, width, height in overlay.boxes:
        outline = Rectangle((x, y), width, height, fill=False, edgecolor=_CYAN, linewidth=1.1, joinstyle="miter")
        outline.set_path_effects([withStroke(linewidth=2.6, foreground="black")])
        axes.add_patch(outline)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    return axes


def _map_panel(figure: Figure, place: tuple[float, float], side: float, overlay: Overlay) -> None:
    """Draw the image under its heat map, or the image with a remark if that is empty."""
    axes = _panel(figure, place, side, blend_heatmap(_gray_colors(overlay), overlay.heatmap), overlay)
    if overlay.empty:
        frame = {"boxstyle": "round,pad=0.4", "facecolor": _DARK, "edgecolor": _MUTED, "linewidth": 0.7}
        axes.text(0.5, 0.93, "no positive evidence", color=_LIGHT, ha="center", va="center", bbox=frame)


def _color_bar(figure: Figure, left: float, side: float) -> None:
    """Draw the color bar beside a panel of the lowest row, with the colors as they appear over a middle gray."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, (_MARGIN + 0.05) / height, 0.1 / width, (side - 0.1) / height))
    values = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    axes.imshow(blend_heatmap(np.full((256, 1, 3), 0.5), values), extent=(0, 1, 0, 1), aspect="auto", origin="lower")
    axes.set_xticks([])
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.yaxis.tick_right()
    axes.tick_params(length=0, pad=2, labelsize=8, labelcolor=_LIGHT)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_label_position("right")
    axes.set_ylabel(
        "fraction of this map's maximum", color=_LIGHT, fontsize=8 if side > _SMALL_PANEL else 7, labelpad=2
    )
