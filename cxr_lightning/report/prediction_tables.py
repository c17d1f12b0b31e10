"""Tables of the predictions of image files, for the terminal."""

import math
from collections.abc import Sequence

from rich import box

from cxr_lightning.inference.results import Finding, Result
from cxr_lightning.utils.html_text import format_probability
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.text_tables import TextTable


def finding_table(result: Result, operating_point: str) -> TextTable:
    """Table of every finding of one image.

    Args:
        result: A result that is not rejected.
        operating_point: Name of the operating point; empty if there is none.
    """
    table = TextTable(title=result.name, caption=_caption(operating_point), box=box.SIMPLE_HEAD)
    table.add_column("finding", no_wrap=True)
    for name in ("probability", "calibrated", "operating point", "", "in training"):
        table.add_column(name, justify="right", no_wrap=" " not in name)  # two words may be two lines
    for finding in result.findings:
        table.add_row(*_cells(finding), style="bold" if finding.above else None)
    return table


def overview_table(results: Sequence[Result], total: int) -> TextTable:
    """Table with a row per image: its status, and the findings that reach their operating points.

    Args:
        results: The results to show.
        total: Number of all results.
    """
    caption = NOT_FOR_CLINICAL_USE
    if total > len(results):
        caption = f"the first {len(results)} of {total:,} files. {caption}"
    table = TextTable(caption=caption, box=box.SIMPLE_HEAD)
    for name in ("file", "status", "at or above the operating point"):
        table.add_column(name, overflow="fold")
    for result in results:
        table.add_row(result.name, result.status, _summary(result))
    return table


def _summary(result: Result) -> str:
    if result.rejected:
        return ""
    if not any(finding.above is not None for finding in result.findings):
        return f"no operating point; highest: {_highest(result)}"
    return ", ".join(f"{finding.label} {format_probability(finding.probability)}" for finding in result.above) or "none"


def _highest(result: Result) -> str:
    highest = result.most_probable
    return "n/a" if highest is None else f"{highest.label} {format_probability(highest.probability)}"


def _cells(finding: Finding) -> tuple[str, ...]:
    side = "" if finding.above is None else "above" if finding.above else "below"
    prevalence = "n/a" if math.isnan(finding.prevalence) else f"{finding.prevalence:.1%}"
    numbers = (finding.probability, finding.calibrated, finding.threshold)
    return (finding.label, *map(format_probability, numbers), side, prevalence)


def _caption(operating_point: str) -> str:
    if operating_point:
        return f"operating point {operating_point}; probability at or above it: above. {NOT_FOR_CLINICAL_USE}"
    return (
        "The model carries no calibration and no operating points: evaluate.py save_calibrated=FILE stores them in a "
        f"copy. {NOT_FOR_CLINICAL_USE}"
    )
