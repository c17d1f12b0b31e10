"""Compare two models' AUROC on the same images.

Difference of AUROC (second minus first) by finding, with paired 95 % intervals from a bootstrap over patients and
p-values corrected by Holm. Both files are predictions.csv of an evaluate.py report.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("first", type=Path, metavar="A.csv")
    parser.add_argument("second", type=Path, metavar="B.csv")
    parser.add_argument("--replicates", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="draws them (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write the table as CSV too; must not exist yet")
    parser.set_defaults(check=_check_arguments)


def _check_arguments(parsed: argparse.Namespace) -> None:
    """Refuse an output file that exists, or whose folder does not."""
    if parsed.out and (parsed.out.exists() or not parsed.out.parent.is_dir()):
        found = "exists already" if parsed.out.exists() else "its folder does not exist"
        raise ValueError(f"Expected a new file in a folder as --out but '{parsed.out}': {found}. Choose another name.")
