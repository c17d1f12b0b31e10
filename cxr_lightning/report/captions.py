"""What is said of a heat map, and what its file is called."""

import math
import re
from collections.abc import Sequence

from cxr_lightning.explain.explanation import Overlay

FOLDER = "gradcam"
"""Of the pictures, beside the page."""

_TARGETS = {1.0: "present", 0.0: "absent"}


def description(overlay: Overlay) -> str:
    """A heat map in words, for those who do not see it."""
    shown = "no positive evidence" if overlay.empty else "the X-ray, and the same under its heat map"
    boxes = len(overlay.boxes)
    outlined = f", {boxes} annotated {'box' if boxes == 1 else 'boxes'}" if boxes else ""
    return f"{overlay.label}, {overlay.kind}, {facts(overlay)}: {shown}{outlined}"


def facts(overlay: Overlay) -> str:
    """Probability, target and the image's name."""
    return f"probability {probability(overlay.probability)}, target {target(overlay)}, image {overlay.image_id}"


def target(overlay: Overlay) -> str:
    """``present``, ``absent`` or ``unknown``."""
    return _TARGETS.get(overlay.target, "unknown")


def probability(value: float) -> str:
    """With three digits, and never rounded to 0.

    Example:
        >>> probability(0.1234), probability(0.0001), probability(float("nan"))
        ('0.123', 'below 0.001', 'n/a')
    """
    if math.isnan(value):
        return "n/a"
    return "below 0.001" if 0 < value < 0.001 else f"{value:.3f}"


def picture_names(gallery: Sequence[Overlay]) -> tuple[str, ...]:
    """File names ``<label>_<kind>_<n>.png``, safe and different on any system, also where case is not told apart.

    Args:
        gallery: Pictures; the names are in their order.
    """
    counts: dict[str, int] = {}
    names = []
    for overlay in gallery:
        stem = f"{_safe(overlay.label)}_{_safe(overlay.kind)}"
        number = counts[stem.lower()] = counts.get(stem.lower(), 0) + 1
        names.append(f"{stem}_{number}.png")
    return tuple(names)


def single_name(image: str, label: str) -> str:
    """File name of one image's heat map, such as ``00000001_000_Mass.png``."""
    return f"{_safe(image)}_{_safe(label)}.png"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:60].strip("-") or "unnamed"
