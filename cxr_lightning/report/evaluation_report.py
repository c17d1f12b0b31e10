"""The report of an evaluation as one object: numbers, tables, the page, and a picture in a notebook."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.explain.results import Explanation
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.inference.predictions_file import write_predictions
from cxr_lightning.report.data_frames import findings_frame, operating_points_frame, subgroups_frame
from cxr_lightning.report.evaluation_protocol import verdict
from cxr_lightning.report.figure_export import figure_png
from cxr_lightning.report.formats import format_estimate
from cxr_lightning.report.interval_plots import draw_auroc
from cxr_lightning.report.metrics_json import metrics_json
from cxr_lightning.report.report_folder import write_report, write_report_page
from cxr_lightning.report.tensorboard import write_scalars
from cxr_lightning.report.wording import evaluation_title, sentence
from cxr_lightning.utils.file_names import PREDICTIONS_FILE
from cxr_lightning.utils.html_text import html_text, png_url
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import visible


@dataclass(frozen=True)
class EvaluationReport:
    """The results of an evaluation; in a notebook it shows the AUROC of each finding.

    Attributes:
        evaluation: The numbers, as frozen dataclasses.
        predictions: The evaluated predictions.
        explanation: Heat maps and their scores; None without them.
    """

    evaluation: Evaluation
    predictions: Predictions
    explanation: Explanation | None = None

    @property
    def auroc(self) -> float:
        """Mean AUROC over the findings that have one; NaN if none has."""
        return self.evaluation.auroc.estimate.value

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before trusting the numbers, and whether they compare with published ones."""
        return (*(sentence(warning) for warning in self.evaluation.warnings), verdict(self.evaluation))

    @property
    def metrics(self) -> dict[str, Any]:
        """Every number as plain values, as in metrics.json; an undefined one is None."""
        return metrics_json(self.evaluation, self.explanation)

    @property
    def findings(self) -> pd.DataFrame:
        """Metrics of each finding; see :func:`~cxr_lightning.report.data_frames.findings_frame`."""
        return findings_frame(self.evaluation)

    @property
    def operating_points(self) -> pd.DataFrame:
        """Operating points; see :func:`~cxr_lightning.report.data_frames.operating_points_frame`."""
        return operating_points_frame(self.evaluation)

    @property
    def subgroups(self) -> pd.DataFrame:
        """Results by sex, age and view; see :func:`~cxr_lightning.report.data_frames.subgroups_frame`."""
        return subgroups_frame(self.evaluation)

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one HTML file, and return its path.

        Args:
            path: File to write; an existing one is replaced.
        """
        return write_report_page(self.evaluation, Path(path), self.explanation)

    def write(self, folder: str | Path) -> Path:
        """Write what evaluate.py writes, and return the path of report.html.

        Args:
            folder: Folder to write, created if missing; files of an earlier report are replaced.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        write_predictions(self.predictions, target / PREDICTIONS_FILE)
        write_scalars(self.evaluation, target / "tensorboard")
        return write_report(self.evaluation, target, self.explanation)

    def __repr__(self) -> str:
        mean = self.evaluation.auroc
        return visible(
            f"<EvaluationReport of {self.evaluation.source}: {evaluation_title(self.evaluation)}; mean AUROC "
            f"{format_estimate(mean.estimate)} over {mean.labels} findings. {NOT_FOR_CLINICAL_USE}>"
        )

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html_text(warning)}</li>" for warning in self.warnings)
        picture = png_url(figure_png(draw_auroc(self.evaluation)))
        alternative = f"AUROC of each finding with its interval: {evaluation_title(self.evaluation)}"
        return (
            f"<p><strong>{html_text(evaluation_title(self.evaluation))}</strong>: evaluation of "
            f'{html_text(self.evaluation.source)}</p><img alt="{html_text(alternative)}" src="{picture}" '
            f'style="max-width: 100%; width: 46rem"><ul>{notes}</ul><p>{NOT_FOR_CLINICAL_USE}</p>'
        )
