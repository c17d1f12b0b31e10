"""cxr compare: two models on the same images."""

import argparse
from pathlib import Path


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "compare",
        help="compare two models' AUROC on the same images",
        description="Difference of AUROC (second minus first) by finding, with paired 95 % intervals from a bootstrap "
        "over patients and p-values corrected by Holm. Both files are predictions.csv of an evaluate.py report.",
    )
    verb.add_argument("first", type=Path, metavar="A.csv")
    verb.add_argument("second", type=Path, metavar="B.csv")
    verb.add_argument("--replicates", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    verb.add_argument("--seed", type=int, default=0, help="draws them (default: %(default)s)")
    verb.add_argument("--out", type=Path, metavar="FILE.csv", help="write the table as CSV too; must not exist yet")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    from rich.console import Console

    from cxr_lightning.evaluation.comparison import compare
    from cxr_lightning.inference.predictions import read_predictions
    from cxr_lightning.report.comparison import comparison_table, write_comparison_csv

    if parsed.out and (parsed.out.exists() or not parsed.out.parent.is_dir()):
        found = "exists already" if parsed.out.exists() else "its folder does not exist"
        raise ValueError(f"Expected a new file in a folder as --out but '{parsed.out}': {found}. Choose another name.")
    comparison = compare(
        read_predictions(parsed.first),
        read_predictions(parsed.second),
        replicates=parsed.replicates,
        seed=parsed.seed,
    )
    Console().print(comparison_table(comparison))
    if parsed.out:
        write_comparison_csv(comparison, parsed.out)
    return 0
