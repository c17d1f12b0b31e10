"""Tables of predictions on the terminal."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from cxr_lightning.inference.results import Finding, Result
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.report.prediction_tables import finding_table


def test_at_80_columns_no_heading_is_cut() -> None:
    findings = tuple(Finding(label, 0.1234, 0.0123, 0.1, 0.05) for label in NIH_LABELS)
    shown = StringIO()
    Console(file=shown, width=80).print(finding_table(Result(Path("x.png"), findings=findings), "youden"))
    heads = [line.split() for line in shown.getvalue().splitlines()[2:4]]
    assert heads == [["operating", "in"], ["finding", "probability", "calibrated", "point", "training"]]
    assert "Pleural_Thickening 0.123 0.012 0.100 above 5.0%" in " ".join(shown.getvalue().split())
