"""The comparison of two models as one object: a table, a CSV file, and what a notebook shows."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxr_lightning.evaluation.comparison import AurocDifference, Comparison, compare_predictions
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.inference.predictions_file import read_predictions
from cxr_lightning.report.comparison import comparison_notes, comparison_title, difference_text, write_comparison_csv
from cxr_lightning.report.evaluation_report import EvaluationReport
from cxr_lightning.report.formats import format_number
from cxr_lightning.utils.html_text import html_text
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import visible


@dataclass(frozen=True)
class ComparisonReport:
    """Differences of two models' AUROC on the same images; in a notebook it shows them as a table.

    Attributes:
        comparison: The numbers, as frozen dataclasses.
    """

    comparison: Comparison

    @property
    def table(self) -> pd.DataFrame:
        """One row per finding and one for the mean: both AUROCs, second minus first, its interval and p-values."""
        results = {**self.comparison.by_label, "mean": self.comparison.mean}
        rows = {name: _row(result) for name, result in results.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("finding")

    def to_csv(self, path: str | Path) -> Path:
        """Write the table as CSV, and return its path.

        Args:
            path: File to write; an existing one is replaced.
        """
        write_comparison_csv(self.comparison, Path(path))
        return Path(path)

    def __repr__(self) -> str:
        mean = self.comparison.mean
        return visible(
            f"<ComparisonReport of {comparison_title(self.comparison)}: mean AUROC {format_number(mean.first)} and "
            f"{format_number(mean.second)}, difference {difference_text(mean)}. {NOT_FOR_CLINICAL_USE}>"
        )

    def _repr_html_(self) -> str:
        one_header = self.table.rename(index=visible).rename_axis(index=None, columns="finding")
        table = one_header.to_html(float_format="{:.3f}".format, na_rep="n/a")
        title, notes = comparison_title(self.comparison), comparison_notes(self.comparison)
        return f"<p><strong>{html_text(title)}</strong></p>{table}<p>{html_text(notes)}</p>"


def compare_models(
    first: str | Path | EvaluationReport,
    second: str | Path | EvaluationReport,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> ComparisonReport:
    """Compare two models by their predictions of the same images.

    Args:
        first: A predictions.csv, or the report of an evaluation.
        second: The other model's.
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of the bootstrap.

    Returns:
        Both AUROCs and their difference by finding, and their means, with intervals and p-values.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not a predictions.csv, images, patients or targets differ, or the models have no label
            in common.
    """
    return ComparisonReport(
        compare_predictions(_predictions(first), _predictions(second), replicates=replicates, seed=seed)
    )


def _predictions(model: str | Path | EvaluationReport) -> Predictions:
    return model.predictions if isinstance(model, EvaluationReport) else read_predictions(Path(model))


def _row(result: AurocDifference) -> dict[str, float]:
    return {
        "first": result.first,
        "second": result.second,
        "difference": result.difference.value,
        "low": result.difference.low,
        "high": result.difference.high,
        "p": result.p_value,
        "p_holm": result.adjusted_p_value,
    }
