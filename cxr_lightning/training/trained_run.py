"""A finished training: its folder, its summary and its best checkpoint."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from cxr_lightning.report.figure_export import png_url
from cxr_lightning.report.wording import NOT_FOR_CLINICAL_USE, data_title
from cxr_lightning.training.callbacks.history import CURVE_FILE
from cxr_lightning.utils.file_names import SUMMARY_FILE


@dataclass(frozen=True)
class TrainedRun:
    """A finished training; in a notebook it shows its loss curve.

    Attributes:
        folder: The run's folder.
        summary: Content of summary.json; an undefined number is None.
    """

    folder: Path
    summary: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "TrainedRun":
        """Read a run's folder.

        Args:
            folder: The run's folder, with its summary.json.

        Raises:
            FileNotFoundError: If the run has not finished.
            ValueError: If summary.json is damaged.
        """
        path = folder / SUMMARY_FILE
        if not path.is_file():
            raise FileNotFoundError(f"Expected a finished run in '{folder}' but it has no {SUMMARY_FILE}.")
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # of JSON or of the encoding
            raise ValueError(f"Expected JSON in '{path}' but it is damaged: {error}. Train again.") from error
        if not isinstance(summary, dict):
            raise ValueError(f"Expected a JSON object in '{path}' but got {type(summary).__name__}. Train again.")
        return cls(folder, summary)

    @property
    def best_checkpoint(self) -> Path | None:
        """The best checkpoint, or the last one where the monitored metric was never defined; None without one."""
        best = self.summary["best_checkpoint"]
        return None if best is None else Path(best)

    @property
    def test_auroc(self) -> dict[str, float | None]:
        """Test AUROC by finding; empty without a test."""
        test = self.summary["test"]
        return {} if test is None else dict(test["auroc"])

    def _repr_html_(self) -> str:
        title = escape(data_title(self.summary["data"]))
        curve = self.folder / CURVE_FILE
        picture = ""
        if curve.is_file():
            picture = f'<img alt="Loss and AUROC by epoch: {title}" src="{png_url(curve.read_bytes())}">'
        return f"<p><strong>{title}</strong></p>{picture}<p>{escape(str(self.folder))}. {NOT_FOR_CLINICAL_USE}</p>"
