"""Figures as PNG files, and as SVG inside a page, which takes the page's colors and font."""

import io
import re
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure
from PIL import Image

from cxr_lightning.report.theme import BLUE, INK, MUTED, ORANGE, PAPER, RULE, figure_style
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.plain_text import visible

_DPI = 150
_LEVEL_STEP = 5  # of 255 levels of a color; a palette of 256 colors makes rings of a smooth heat map
_PAGE_COLORS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
}
_DECIMALS = re.compile(r"-?\d+\.\d{2,}")
_GEOMETRY = ("d", "x", "y", "width", "height", "transform")


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG on a white background; the same figure gives the same bytes."""
    with atomic_write_bytes(path) as file:
        file.write(figure_png(figure))


def figure_png(figure: Figure) -> bytes:
    """PNG of a figure on a white background; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor=PAPER, metadata={"Software": None})
    return buffer.getvalue()


def small_png(figure: Figure) -> bytes:
    """PNG of a figure that contains radiographs, with slightly coarser colors for half the size.

    It keeps the figure's background color. The same figure gives the same bytes.
    """
    buffer, reduced = io.BytesIO(), io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format="png", dpi=_DPI)
    with Image.open(buffer) as image:
        levels = [_LEVEL_STEP * round(level / _LEVEL_STEP) for level in range(256)]
        image.convert("RGB").point(levels * 3).save(reduced, format="png", optimize=True)
    return reduced.getvalue()


def to_svg(figure: Figure) -> str:
    """SVG of a figure, to be put into an HTML page.

    It defines no colors and no font: it uses the page's ``--muted``, ``--rule``, ``--paper``, ``--blue``,
    ``--orange`` and ``--font``. Its ids begin with the figure's label, so that figures with different labels can be
    on one page.
    """
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with figure_style():
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())
    _clean(root)
    _prefix_ids(root, re.sub(r"[^a-z0-9]+", "-", str(figure.get_label()).lower()))
    for element in root.iter():
        _use_page_style(element)
    return ElementTree.tostring(_set_size_and_title(root, figure), encoding="unicode")


def _clean(root: ElementTree.Element) -> None:
    """Remove metadata, style sheets (they would apply to the whole page), namespaces and space between elements."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _local_name(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local_name(element.tag)
        element.attrib = {_local_name(name): value for name, value in element.attrib.items()}
        element.tail = None
        if element.tag not in ("text", "tspan"):
            element.text = None


def _prefix_ids(root: ElementTree.Element, prefix: str) -> None:
    """Remove unused ids and put the prefix before the others, so that they are unique on the page."""
    attributes = "".join(" ".join(element.attrib.values()) for element in root.iter())
    used = set(re.findall(r"#([\w.-]+)", attributes))
    for element in root.iter():
        if (name := element.attrib.pop("id", "")) in used:
            element.set("id", f"{prefix}-{name}")
        for key in ("href", "clip-path"):
            if key in element.attrib:
                element.set(key, element.attrib[key].replace("#", f"#{prefix}-"))


def _use_page_style(element: ElementTree.Element) -> None:
    """Use the page's colors and font, and round coordinates to one decimal."""
    style = element.attrib.get("style", "")
    if style:
        for color, page_color in _PAGE_COLORS.items():
            style = style.replace(color, page_color)
        style = re.sub(r"'DejaVu Sans'[^;]*", "var(--font)", style)  # alone or in the `font` shorthand
        element.set("style", style)
    for key in _GEOMETRY:
        if key in element.attrib:
            text = _DECIMALS.sub(lambda match: f"{float(match[0]):.1f}", element.attrib[key])
            element.set(key, re.sub(r"\s*\n\s*", " ", text).strip())


def _set_size_and_title(root: ElementTree.Element, figure: Figure) -> ElementTree.Element:
    """Let the size follow the page's width within limits, and add a title for screen readers."""
    points = 72 * figure.get_figwidth()
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "style": f"width: 100%; min-width: {points:.0f}px; max-width: {1.45 * points:.0f}px; height: auto",
    }
    title = ElementTree.Element("title")
    title.text = visible(str(figure.get_label()))
    root.insert(0, title)
    return root


def _local_name(name: str) -> str:
    return name.rpartition("}")[2]
