"""The report folder: one page, its numbers and its figures."""

from pathlib import Path

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report import figures, intervals
from cxr_lightning.report.document import render_html
from cxr_lightning.report.drawing import save_png, to_svg
from cxr_lightning.report.metrics_file import write_metrics_json
from cxr_lightning.report.metrics_table import write_metrics_csv

FIGURES = {
    "auroc": intervals.auroc,
    "roc": figures.roc,
    "precision_recall": figures.precision_recall,
    "reliability": figures.reliability,
    "subgroups": intervals.subgroups,
}
"""By file name."""


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``report.html``, ``metrics.json``, ``metrics.csv`` and ``figures/*.png``.

    Args:
        evaluation: To show.
        folder: Made if missing; files of an earlier report are replaced.

    Returns:
        The page's path.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    drawings = {}
    for name, draw in FIGURES.items():
        figure = draw(evaluation)
        save_png(figure, folder / "figures" / f"{name}.png")
        drawings[name] = to_svg(figure)
    write_metrics_json(evaluation, folder / "metrics.json")
    write_metrics_csv(evaluation, folder / "metrics.csv")
    page = folder / "report.html"
    unfinished = folder / "report.html.tmp"
    unfinished.write_text(render_html(evaluation, drawings), encoding="utf-8", errors="replace")
    return unfinished.replace(page)
