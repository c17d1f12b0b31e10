"""Text and pictures for HTML that loads nothing else, and how probabilities are written."""

import base64
import math
from html import escape

from cxr_lightning.utils.plain_text import visible


def html_text(text: str) -> str:
    r"""Text as HTML, in which it is no markup and hides nothing.

    Example:
        >>> print(html_text("<b>\x1b"))
        &lt;b&gt;\x1b
    """
    return escape(visible(text))


def png_url(png: bytes) -> str:
    """Data URL of a PNG file, for a page that loads nothing else."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def format_probability(value: float) -> str:
    """A probability with three digits, never rounded to 0.

    Example:
        >>> format_probability(0.1234), format_probability(0.0001), format_probability(float("nan"))
        ('0.123', 'below 0.001', 'n/a')
    """
    if math.isnan(value):
        return "n/a"
    return "below 0.001" if 0 < value < 0.001 else f"{value:.3f}"
