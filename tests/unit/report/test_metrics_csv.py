import csv
from pathlib import Path

import pytest

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.metrics_csv import write_metrics_csv
from cxr_lightning.utils.csv_files import table_cell


def read(evaluation: Evaluation, folder: Path) -> list[dict[str, str]]:
    write_metrics_csv(evaluation, folder / "metrics.csv")
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_for_each_finding_and_one_for_the_mean(plain_evaluation: Evaluation, tmp_path: Path) -> None:
    rows = read(plain_evaluation, tmp_path)
    assert [row["finding"] for row in rows] == ["Edema", "Mass", "Hernia", "mean"]
    edema = plain_evaluation.labels[0]
    assert float(rows[0]["auroc"]) == pytest.approx(edema.auroc.value, abs=1e-6)  # six digits are written
    assert float(rows[0]["auroc_low"]) == pytest.approx(edema.auroc.low, abs=1e-6)
    assert rows[0]["calibrated_brier"] == "0.07"
    assert rows[0]["sensitivity@0.95 threshold"] == "0.25"
    assert rows[0]["sensitivity@0.95 sensitivity"] == "0.94"
    assert float(rows[0]["youden ppv"]) == pytest.approx((edema.operating_points or ())[0].at[0].ppv, rel=1e-5)


def test_the_mean_says_how_many_findings_it_covers(plain_evaluation: Evaluation, tmp_path: Path) -> None:
    rows = read(plain_evaluation, tmp_path)
    assert [row["auroc_labels"] for row in rows] == ["1", "1", "0", "2"]


def test_undefined_numbers_are_not_numbers(undefined_evaluation: Evaluation, tmp_path: Path) -> None:
    finding, mean = read(undefined_evaluation, tmp_path)
    for name in ("prevalence", "auroc", "auroc_low", "average_precision_high", "brier", "calibrated_ece"):
        assert finding[name] == "n/a"
    assert mean["auroc"] == mean["ece"] == "n/a"
    assert "nan" not in (tmp_path / "metrics.csv").read_text(encoding="utf-8")


def test_a_finding_without_operating_points_has_none_beside_others(
    plain_evaluation: Evaluation, tmp_path: Path
) -> None:
    assert read(plain_evaluation, tmp_path)[2]["youden threshold"] == "n/a"


def test_no_cell_from_data_begins_like_a_formula(hostile_evaluation: Evaluation, tmp_path: Path) -> None:
    rows = read(hostile_evaluation, tmp_path)
    assert rows[1]["finding"] == "'=1+1"
    cells = [*rows[0], *(value for row in rows for value in row.values())]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.parametrize("text", ["=a", "+a", "-a", "@a", "  =a", "\uff1da", "\u3000\uff0ba", "\ufe63a", "\u207aa"])
def test_every_beginning_of_a_formula_is_escaped(text: str) -> None:
    assert table_cell(text) == f"'{text}"
    assert table_cell(f"\r{text}") == f"\\r{text}"
