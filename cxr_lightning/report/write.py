"""The report folder: one page, its numbers and its figures."""

from collections.abc import Sequence
from pathlib import Path

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.explain.explanation import Explanation, Overlay
from cxr_lightning.report import figures, intervals
from cxr_lightning.report.captions import FOLDER, picture_names
from cxr_lightning.report.document import render_html
from cxr_lightning.report.drawing import save_png, small_png, to_svg
from cxr_lightning.report.metrics_file import write_metrics_json
from cxr_lightning.report.metrics_table import write_metrics_csv
from cxr_lightning.report.overlays import overlay_figure
from cxr_lightning.report.theme import evaluation_title
from cxr_lightning.utils.io import atomic_write_text

FIGURES = {
    "auroc": intervals.auroc,
    "roc": figures.roc,
    "precision_recall": figures.precision_recall,
    "reliability": figures.reliability,
    "subgroups": intervals.subgroups,
}
"""By file name."""


def write_report(evaluation: Evaluation, folder: Path, explanation: Explanation | None = None) -> Path:
    """Write ``report.html``, ``metrics.json``, ``metrics.csv``, ``figures/*.png`` and ``gradcam/*.png``.

    Args:
        evaluation: To show.
        folder: Made if missing; files of an earlier report are replaced.
        explanation: Heat maps to show with it.

    Returns:
        The page's path.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    drawings = {}
    for name, draw in FIGURES.items():
        figure = draw(evaluation)
        save_png(figure, folder / "figures" / f"{name}.png")
        drawings[name] = to_svg(figure)
    pictures = _write_pictures(evaluation, folder / FOLDER, explanation.gallery if explanation else ())
    write_metrics_json(evaluation, folder / "metrics.json", explanation)
    write_metrics_csv(evaluation, folder / "metrics.csv")
    page = folder / "report.html"
    with atomic_write_text(page, errors="replace") as file:
        file.write(render_html(evaluation, drawings, explanation, pictures))
    return page


def _write_pictures(evaluation: Evaluation, folder: Path, gallery: Sequence[Overlay]) -> list[bytes]:
    """The pictures' bytes, written beside the page as well; other files in the folder stay."""
    if gallery:
        folder.mkdir(exist_ok=True)
    pictures = []
    for overlay, name in zip(gallery, picture_names(gallery), strict=True):
        figure = overlay_figure(overlay, evaluation_title(evaluation), synthetic=evaluation.synthetic)
        pictures.append(small_png(figure))
        (folder / name).write_bytes(pictures[-1])
    return pictures


def write_overlay(overlay: Overlay, path: Path, title: str = "") -> None:
    """Write the PNG of one picture, and nothing else.

    Args:
        overlay: To draw.
        path: File to write.
        title: Such as that the model was trained on synthetic data.
    """
    path.write_bytes(small_png(overlay_figure(overlay, title, synthetic=bool(title))))
