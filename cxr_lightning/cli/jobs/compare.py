"""The job of cxr compare."""

import argparse

from rich.console import Console

from cxr_lightning.evaluation.comparison import compare_predictions
from cxr_lightning.inference.predictions_file import read_predictions
from cxr_lightning.report.comparison import comparison_table, write_comparison_csv


def compare(parsed: argparse.Namespace) -> int:
    """Compare two predictions files, print the table, and write it as CSV if requested."""
    comparison = compare_predictions(
        read_predictions(parsed.first),
        read_predictions(parsed.second),
        replicates=parsed.replicates,
        seed=parsed.seed,
    )
    Console().print(comparison_table(comparison))
    if parsed.out:
        write_comparison_csv(comparison, parsed.out)
    return 0
