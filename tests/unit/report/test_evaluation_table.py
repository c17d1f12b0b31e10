import io

import pytest
from rich.console import Console

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.terminal_tables import evaluation_tables


def printed(evaluation: Evaluation, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    for table in evaluation_tables(evaluation):
        console.print(table)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_findings_and_numbers_are_whole_in_any_terminal(plain_evaluation: Evaluation, width: int) -> None:
    shown = printed(plain_evaluation, width)
    for result in plain_evaluation.labels:
        assert result.label in shown
    edema = plain_evaluation.labels[0].auroc
    assert f"{edema.value:.3f}" in shown
    assert f"[{edema.low:.3f}-{edema.high:.3f}]" in shown
    assert max(map(len, shown.splitlines())) <= width
    assert "Not for clinical use." in shown
    assert "data: nih; 2,000 test images" in shown


@pytest.mark.parametrize("width", [80, 120])
def test_names_are_not_read_as_markup_and_long_ones_are_folded(hostile_evaluation: Evaluation, width: int) -> None:
    shown = printed(hostile_evaluation, width)
    assert "[bold]f[/]" in shown
    assert shown.count("x") >= 200
    assert shown.count("0.040") == 7  # the last column is whole, for six findings and their mean
    assert max(map(len, shown.splitlines())) <= width


def test_what_is_not_defined_says_so(undefined_evaluation: Evaluation) -> None:
    shown = printed(undefined_evaluation, 80)
    assert shown.count("n/a") == 8
    assert "nan" not in shown


def test_means_say_how_many_findings_they_cover(plain_evaluation: Evaluation) -> None:
    assert printed(plain_evaluation, 80).count("(2)") == 2
