"""Figures as files, and as drawings inside a page that take its colours and its type."""

import io
import re
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure
from PIL import Image

from cxr_lightning.report.theme import BLUE, INK, MUTED, ORANGE, PAPER, RULE, drawing

_DPI = 150
_STEP = 5  # of 255 levels of a colour; a palette of 256 colours makes rings of a smooth heat map
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
    """Write a PNG on white; the same figure gives the same bytes."""
    with drawing():
        figure.savefig(path, dpi=_DPI, facecolor=PAPER, metadata={"Software": None})


def small_png(figure: Figure) -> bytes:
    """A PNG of a figure with photographs, on its own ground, half the size for slightly coarser colours.

    The same figure gives the same bytes.
    """
    buffer, small = io.BytesIO(), io.BytesIO()
    with drawing():
        figure.savefig(buffer, format="png", dpi=_DPI)
    with Image.open(buffer) as picture:
        levels = [_STEP * round(level / _STEP) for level in range(256)]
        picture.convert("RGB").point(levels * 3).save(small, format="png", optimize=True)
    return small.getvalue()


def to_svg(figure: Figure) -> str:
    """A drawing to be put into an HTML page.

    It has no colours, type or size of its own: it uses the page's ``--muted``, ``--rule``, ``--paper``, ``--blue``,
    ``--orange`` and ``--font``. Its ids begin with the figure's label, so that figures with different labels can be
    on one page.
    """
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with drawing():
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())
    _drop_foreign(root)
    _rename(root, re.sub(r"[^a-z0-9]+", "-", str(figure.get_label()).lower()))
    for element in root.iter():
        _restyle(element)
    return ElementTree.tostring(_framed(root, figure), encoding="unicode")


def _drop_foreign(root: ElementTree.Element) -> None:
    """No metadata, no style sheet that would hold for the whole page, no name spaces, no space between elements."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        element.tail = None
        if element.tag not in ("text", "tspan"):
            element.text = None


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Keep only ids that are used, and make them the figure's own."""
    uses = "".join(" ".join(element.attrib.values()) for element in root.iter())
    used = set(re.findall(r"#([\w.-]+)", uses))
    for element in root.iter():
        if (name := element.attrib.pop("id", "")) in used:
            element.set("id", f"{prefix}-{name}")
        for key in ("href", "clip-path"):
            if key in element.attrib:
                element.set(key, element.attrib[key].replace("#", f"#{prefix}-"))


def _restyle(element: ElementTree.Element) -> None:
    """The page's colours and font, and no more digits than can be seen."""
    style = element.attrib.get("style", "")
    if style:
        for color, of_page in _PAGE_COLORS.items():
            style = style.replace(color, of_page)
        style = re.sub(r"'DejaVu Sans'[^;]*", "var(--font)", style)  # alone or in the `font` shorthand
        element.set("style", style)
    for key in _GEOMETRY:
        if key in element.attrib:
            text = _DECIMALS.sub(lambda match: f"{float(match[0]):.1f}", element.attrib[key])
            element.set(key, re.sub(r"\s*\n\s*", " ", text).strip())


def _framed(root: ElementTree.Element, figure: Figure) -> ElementTree.Element:
    """A size that follows the page between readable and natural, and a name for those who do not see it."""
    points = 72 * figure.get_figwidth()
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "style": f"width: 100%; min-width: {points:.0f}px; max-width: {1.45 * points:.0f}px; height: auto",
    }
    title = ElementTree.Element("title")
    title.text = str(figure.get_label())
    root.insert(0, title)
    return root


def _local(name: str) -> str:
    return name.rpartition("}")[2]
