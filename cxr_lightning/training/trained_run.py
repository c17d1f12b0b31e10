"""A finished training: its folder, its summary and its best checkpoint."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.report.formats import format_number
from cxr_lightning.report.wording import data_title
from cxr_lightning.training.summary_model import read_summary
from cxr_lightning.utils.file_names import CURVE_FILE, SUMMARY_FILE
from cxr_lightning.utils.html_text import html_text, png_url
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import visible
from cxr_lightning.utils.regular_files import read_limited

_MAX_CURVE_BYTES = 10_000_000


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
            ValueError: If summary.json is damaged, or a value in it has another type.
        """
        path = folder / SUMMARY_FILE
        if not path.is_file():
            raise FileNotFoundError(f"Expected a finished run in '{folder}' but it has no {SUMMARY_FILE}.")
        return cls(folder, read_summary(path))

    @property
    def best_checkpoint(self) -> Path | None:
        """The best checkpoint, or the last one where no best one was kept; None without one."""
        best = self.summary["best_checkpoint"]
        return None if best is None else Path(best)

    @property
    def test_auroc(self) -> dict[str, float | None]:
        """Test AUROC by finding; empty without a test."""
        test = self.summary["test"]
        return {} if test is None else dict(test["auroc"])

    def __repr__(self) -> str:
        title = data_title(self.summary["data"])
        return visible(f"<TrainedRun in {_short(self.folder)}: {title}; {self._score()}. {NOT_FOR_CLINICAL_USE}>")

    def _score(self) -> str:
        test = self.summary["test"]
        if test is None:
            return "no test"
        return f"test AUROC {format_number(null_to_nan(test['macro_auroc']))} over {test['defined_labels']} findings"

    def _repr_html_(self) -> str:
        title = html_text(data_title(self.summary["data"]))
        picture = ""
        with suppress(OSError):  # a run without a validation has no curve, and somebody's folder may hold anything
            curve = png_url(read_limited(self.folder / CURVE_FILE, _MAX_CURVE_BYTES))
            picture = (
                f'<img alt="Loss and AUROC by epoch: {title}" src="{curve}" style="max-width: 100%; width: 46rem">'
            )
        folder = html_text(str(_short(self.folder)))
        return f"<p><strong>{title}</strong></p>{picture}<p>{folder}. {NOT_FOR_CLINICAL_USE}</p>"


def _short(folder: Path) -> Path:
    """The folder as seen from the working directory if it is below that."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
