"""Comparison of two models: a table for the terminal and a CSV file."""

from collections.abc import Iterator
from pathlib import Path

from rich import box

from cxr_lightning.evaluation.comparison import AurocDifference, Comparison
from cxr_lightning.report.formats import csv_number, format_number, format_signed
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.text_tables import TextTable, show_table

_COLUMNS = ("finding", "first", "second", "difference", "low", "high", "p", "p_holm")


def show_comparison(comparison: Comparison) -> None:
    """Print the table of a comparison."""
    show_table(comparison_table(comparison))


def comparison_title(comparison: Comparison) -> str:
    """Title of a comparison, with the number of its images."""
    return f"{comparison.images:,} images of {comparison.patients:,} patients; {comparison.replicates:,} replicates"


def comparison_notes(comparison: Comparison) -> str:
    """What a reader of a comparison's table must know."""
    notes = "Difference is second minus first. p is corrected by Holm, except the mean's. "
    if comparison.not_shared:
        notes += f"Only in one file, so not compared: {', '.join(comparison.not_shared)}. "
    return notes + NOT_FOR_CLINICAL_USE


def comparison_table(comparison: Comparison) -> TextTable:
    """AUROC of both models, their difference with its interval, and p-values."""
    title, caption = comparison_title(comparison), comparison_notes(comparison)
    table = TextTable(title=title, box=box.SIMPLE_HEAD, caption=caption, show_footer=True)
    mean = _cells(comparison.mean)
    table.add_column("finding", footer=f"mean of {comparison.labels}")
    for name, footer in zip(("first", "second", "difference [95 %]", "p"), mean, strict=True):
        table.add_column(name, justify="right", footer=footer)
    for label, difference in comparison.by_label.items():
        table.add_row(label, *_cells(difference))
    return table


def difference_text(result: AurocDifference) -> str:
    """A difference with its interval; ``n/a`` for what is undefined."""
    difference = result.difference
    interval = f"[{format_signed(difference.low)}, {format_signed(difference.high)}]"
    return f"{format_signed(difference.value)} {interval}"


def _cells(result: AurocDifference) -> tuple[str, str, str, str]:
    return (
        format_number(result.first),
        format_number(result.second),
        difference_text(result),
        format_number(result.adjusted_p_value, 4),
    )


def write_comparison_csv(comparison: Comparison, path: Path) -> None:
    """Write one row per finding and one for the mean; an undefined number is n/a."""
    with atomic_write_text(path) as file:
        writer = TableWriter(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_rows(comparison))


def _rows(comparison: Comparison) -> Iterator[list[object]]:
    for name, result in [*comparison.by_label.items(), ("mean", comparison.mean)]:
        difference = result.difference
        values = (result.first, result.second, difference.value, difference.low, difference.high)
        p_values = (result.p_value, result.adjusted_p_value)
        yield [name, *map(csv_number, (*values, *p_values))]
