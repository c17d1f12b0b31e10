"""Heat maps beside their image without matplotlib, for an installation that only predicts."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from cxr_lightning.explain.results import Overlay
from cxr_lightning.utils.html_text import format_probability
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import shorten

_DARK, _LIGHT, _MUTED, _ORANGE = "#15181c", "#e4e7ea", "#a3acb6", "#f0935f"
_MIN_PANEL, _MARGIN, _TOP, _LINE = 260, 10, 92, 18
"""Smallest side of an image, and distances, in pixels."""
_SIZE, _SMALL_SIZE = 14, 12
"""Sizes of letters in pixels."""
_MAX_LETTERS = 100


def draw_overlays(overlays: Sequence[Overlay], title: str) -> Image.Image:
    """Draw an image, and beside it the same under its heat map of each label.

    Args:
        overlays: The image's heat maps, one or more.
        title: Title, highlighted, such as that the model was trained on synthetic data; may be empty.

    Returns:
        A picture in RGB.
    """
    panel = max(_MIN_PANEL, overlays[0].image.shape[1])
    step = panel + _MARGIN
    canvas = Image.new("RGB", (_MARGIN + step * (len(overlays) + 1), _TOP + step), _DARK)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (_MARGIN, _MARGIN), title, _ORANGE, panel)
    _write(draw, (_MARGIN, _MARGIN + _LINE), NOT_FOR_CLINICAL_USE, _MUTED, panel)
    _write(draw, (_MARGIN, _MARGIN + 3 * _LINE), f"image {overlays[0].image_id}", _LIGHT, panel)
    canvas.paste(_panel(Image.fromarray(overlays[0].image).convert("RGB"), panel), (_MARGIN, _TOP))
    for number, overlay in enumerate(overlays, start=1):
        left = _MARGIN + number * step
        facts = "no positive evidence" if overlay.empty else f"probability {format_probability(overlay.probability)}"
        _write(draw, (left, _MARGIN + 2 * _LINE), overlay.label, _LIGHT, panel, _SIZE)
        _write(draw, (left, _MARGIN + 3 * _LINE), facts, _MUTED, panel)
        canvas.paste(_panel(overlay.picture, panel), (left, _TOP))
    return canvas


def _panel(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BICUBIC)


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, color: str, width: int, size: int = _SMALL_SIZE
) -> None:
    """Write text of one line, cut off where it would be wider than its panel."""
    font = ImageFont.load_default(size)
    shown = shorten(text, _MAX_LETTERS)
    while draw.textlength(shown, font) > width:
        shown = shorten(shown, len(shown) - 1)
    draw.text(place, shown, color, font)
