"""The report folder: the page, the files with its numbers, and the figures."""

from collections.abc import Sequence
from pathlib import Path

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.explain.results import Explanation, Overlay
from cxr_lightning.report import finding_curves, interval_plots
from cxr_lightning.report.captions import GRADCAM_FOLDER, overlay_file_names
from cxr_lightning.report.figure_export import save_png, small_png, to_svg
from cxr_lightning.report.html_page import render_html
from cxr_lightning.report.metrics_csv import write_metrics_csv
from cxr_lightning.report.metrics_json import write_metrics_json
from cxr_lightning.report.overlays import overlay_figure, overlay_row_figure
from cxr_lightning.report.wording import evaluation_title
from cxr_lightning.utils.file_names import METRICS_TABLE
from cxr_lightning.utils.io import atomic_write_bytes, atomic_write_text

FIGURES = {
    "auroc": interval_plots.draw_auroc,
    "roc": finding_curves.draw_roc,
    "precision_recall": finding_curves.draw_precision_recall,
    "reliability": finding_curves.draw_reliability,
    "subgroups": interval_plots.draw_subgroups,
}
"""Functions that draw the figures, by the name of the figure's file."""


def write_report(evaluation: Evaluation, folder: Path, explanation: Explanation | None = None) -> Path:
    """Write ``report.html``, ``metrics.json``, ``metrics.csv``, ``figures/*.png`` and ``gradcam/*.png``.

    Args:
        evaluation: The evaluation to show.
        folder: Folder to write, created if missing; files of an earlier report are replaced.
        explanation: Heat maps to show as well.

    Returns:
        The page's path.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    svgs = {}
    for name, draw in FIGURES.items():
        figure = draw(evaluation)
        save_png(figure, folder / "figures" / f"{name}.png")
        svgs[name] = to_svg(figure)
    gallery = explanation.gallery if explanation else ()
    overlay_pngs = _draw_overlays(evaluation, gallery)
    _write_overlays(folder / GRADCAM_FOLDER, gallery, overlay_pngs)
    write_metrics_json(evaluation, folder / "metrics.json", explanation)
    write_metrics_csv(evaluation, folder / METRICS_TABLE)
    return _write_page(folder / "report.html", render_html(evaluation, svgs, explanation, overlay_pngs))


def write_report_page(evaluation: Evaluation, path: Path, explanation: Explanation | None = None) -> Path:
    """Write the report's page alone, and return its path.

    Args:
        evaluation: The evaluation to show.
        path: File to write; its folder must exist.
        explanation: Heat maps to show as well.
    """
    svgs = {name: to_svg(draw(evaluation)) for name, draw in FIGURES.items()}
    overlay_pngs = _draw_overlays(evaluation, explanation.gallery if explanation else ())
    return _write_page(path, render_html(evaluation, svgs, explanation, overlay_pngs))


def _write_page(path: Path, page: str) -> Path:
    with atomic_write_text(path) as file:
        file.write(page)
    return path


def _draw_overlays(evaluation: Evaluation, gallery: Sequence[Overlay]) -> list[bytes]:
    """The gallery's figures as PNG files."""
    title = evaluation_title(evaluation)
    return [small_png(overlay_figure(overlay, title, synthetic=evaluation.synthetic)) for overlay in gallery]


def _write_overlays(folder: Path, gallery: Sequence[Overlay], pngs: Sequence[bytes]) -> None:
    """Write the gallery's figures; other files in the folder stay."""
    if gallery:
        folder.mkdir(exist_ok=True)
    for name, png in zip(overlay_file_names(gallery), pngs, strict=True):
        with atomic_write_bytes(folder / name) as file:
            file.write(png)


def write_overlay_row(overlays: Sequence[Overlay], path: Path, title: str = "") -> None:
    """Write an image and its heat maps in one row as PNG.

    Args:
        overlays: The image's heat maps, one or more.
        path: File to write.
        title: Title of the figure, highlighted; such as that the model was trained on synthetic data.
    """
    with atomic_write_bytes(path) as file:
        file.write(small_png(overlay_row_figure(overlays, title, synthetic=bool(title))))


def write_overlay(overlay: Overlay, path: Path, title: str = "") -> None:
    """Write one heat map over its image as PNG.

    Args:
        overlay: The image and its heat map.
        path: File to write.
        title: Title of the figure, highlighted; such as that the model was trained on synthetic data.
    """
    with atomic_write_bytes(path) as file:
        file.write(small_png(overlay_figure(overlay, title, synthetic=bool(title))))
