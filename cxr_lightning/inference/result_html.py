"""Results as HTML for notebooks: a table beside the image, without scripts and anything that would be loaded.

Colors are the notebook's own, with marks that are legible on light and dark backgrounds.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from cxr_lightning.explain.heatmap_pictures import png_bytes
from cxr_lightning.utils.html_text import format_probability, html_text, png_url
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE, model_title

if TYPE_CHECKING:
    from cxr_lightning.explain.results import Overlay
    from cxr_lightning.inference.results import Finding, Result

MAX_SHOWN = 10
"""Number of results that are shown in full."""
_MAX_SIDE = 320
"""Side of the shown image in pixels."""
_ORANGE, _RULE = "#c9661e", "rgba(128, 128, 128, 0.35)"
_BOX = (
    f"margin: 0.4em 0 1em; max-width: 70em; border-top: 2px solid {_RULE}; padding-top: 0.4em; overflow-wrap: anywhere"
)
_ROW = "display: flex; flex-wrap: wrap; gap: 0.4em 1.4em; align-items: flex-start"
_IMAGE = "width: 15em; max-width: 100%; background: #000; margin: 0.4em 0"
_TABLE = "border-collapse: collapse; margin: 0.2em 0; color: inherit; font-size: 0.95em"
_CELL = f"padding: 0.1em 0.6em; border: 0; border-bottom: 1px solid {_RULE}; background: none; color: inherit"
_COLUMNS = ("finding", "probability", "calibrated", "operating point", "")


def results_html(results: "Sequence[Result]") -> str:
    """The first results in full, and the number of the others.

    Args:
        results: The results.
    """
    shown = "".join(map(result_html, results[:MAX_SHOWN]))
    more = len(results) - MAX_SHOWN
    rest = f"<p>and {more:,} more: the first {MAX_SHOWN} of {len(results):,} images are shown</p>" if more > 0 else ""
    return f"<div>{shown or '<p>no images</p>'}{rest}</div>"


def result_html(result: "Result") -> str:
    """The name and the status of an image, its flags in words, and its findings beside it.

    Args:
        result: The result.
    """
    title = f"<strong>{html_text(result.name)}</strong>: {result.status}"
    flags = "".join(f"<li>{html_text(flag.message)} [{html_text(flag.code)}]</li>" for flag in result.flags)
    reasons = f'<ul style="margin: 0.2em 0; color: {_ORANGE}">{flags}</ul>' if flags else ""
    body = "" if result.rejected else f'<div style="{_ROW}">{_image(result)}{_table(result)}</div>{_caption(result)}'
    return f'<div style="{_BOX}">{_banner(result.synthetic)}<div>{title}</div>{reasons}{body}</div>'


def overlays_html(overlays: "Sequence[Overlay]") -> str:
    """Heat maps over their image, each below its finding.

    Args:
        overlays: The heat maps of one model.
    """
    panels = f'<div style="{_ROW}">{"".join(map(_panel, overlays))}</div>'
    banner = _banner(any(overlay.synthetic for overlay in overlays))
    return f'<div style="{_BOX}">{banner}{panels}{NOT_FOR_CLINICAL_USE}</div>'


def _panel(overlay: "Overlay") -> str:
    empty = "<div>no positive evidence</div>" if overlay.empty else ""
    title = f"<strong>{html_text(overlay.label)}</strong> {format_probability(overlay.probability)}"
    alternative = f"Heat map of {html_text(overlay.label)} over {html_text(overlay.image_id)}"
    return f"<div><div>{title}</div>{_img(overlay.picture, alternative)}{empty}</div>"


def _banner(synthetic: bool) -> str:
    title = model_title(synthetic)
    return f'<div style="color: {_ORANGE}; font-weight: bold">{title}</div>' if title else ""


def _image(result: "Result") -> str:
    if result.image is None:
        return ""
    return _img(Image.fromarray(result.image), f"{html_text(result.name)} as the network sees it")


def _img(picture: Image.Image, alternative: str) -> str:
    """A picture in the text itself; ``alternative`` is HTML."""
    if picture.width > _MAX_SIDE:
        picture = picture.resize((_MAX_SIDE, _MAX_SIDE))
    return f'<img alt="{alternative}" src="{png_url(png_bytes(picture))}" style="{_IMAGE}">'


def _table(result: "Result") -> str:
    head = _cells("th", _COLUMNS)
    rows = "".join(
        f'<tr style="background: none{"; font-weight: bold" if finding.above else ""}">{_cells("td", _texts(finding))}'
        "</tr>"
        for finding in result.findings
    )
    return (
        f'<table style="{_TABLE}"><thead><tr style="background: none">{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _texts(finding: "Finding") -> tuple[str, ...]:
    side = "" if finding.above is None else "above" if finding.above else "below"
    numbers = (finding.probability, finding.calibrated, finding.threshold)
    return (finding.label, *map(format_probability, numbers), side)


def _cells(tag: str, texts: Iterable[str]) -> str:
    """Cells of a row, the first one on the left."""
    aligned = (("left" if number == 0 else "right", text) for number, text in enumerate(texts))
    return "".join(f'<{tag} style="{_CELL}; text-align: {side}">{html_text(text)}</{tag}>' for side, text in aligned)


def _caption(result: "Result") -> str:
    point = f"operating point {html_text(result.operating_point)}; probability at or above it: above. "
    return f"<div>{point if result.operating_point else ''}{NOT_FOR_CLINICAL_USE}</div>"
