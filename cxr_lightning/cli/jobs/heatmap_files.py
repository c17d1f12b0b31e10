"""Write heat maps of images: with matplotlib, or plainly in an installation that only predicts."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

from cxr_lightning.explain.heatmap_pictures import png_bytes
from cxr_lightning.explain.results import Overlay
from cxr_lightning.report.plain_overlays import draw_overlays
from cxr_lightning.utils.io import atomic_write_bytes

_WRITE_OVERLAY = "cxr_lightning.report.report_folder:write_overlay"
_WRITE_OVERLAY_ROW = "cxr_lightning.report.report_folder:write_overlay_row"
"""Imported when there is something to draw, since they import matplotlib."""


def write_heatmap(overlay: Overlay, path: Path, title: str) -> None:
    """Write one heat map beside its image as PNG.

    Args:
        overlay: The image and its heat map.
        path: File to write.
        title: Title of the figure, highlighted; such as that the model was trained on synthetic data.
    """
    if find_spec("matplotlib"):
        resolve_name(_WRITE_OVERLAY)(overlay, path, title)
    else:
        _write_plainly([overlay], path, title)


def write_heatmap_row(overlays: Sequence[Overlay], path: Path, title: str) -> None:
    """Write an image and its heat maps in one row as PNG.

    Args:
        overlays: The image's heat maps, one or more.
        path: File to write.
        title: As in :func:`write_heatmap`.
    """
    if find_spec("matplotlib"):
        resolve_name(_WRITE_OVERLAY_ROW)(overlays, path, title)
    else:
        _write_plainly(overlays, path, title)


def _write_plainly(overlays: Sequence[Overlay], path: Path, title: str) -> None:
    with atomic_write_bytes(path) as file:
        file.write(png_bytes(draw_overlays(overlays, title)))
