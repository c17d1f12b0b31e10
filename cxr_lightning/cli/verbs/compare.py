"""The verb ``compare``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from cxr_lightning.cli.arguments import PathArgument, PathOption


def compare(
    first: Annotated[Path, PathArgument(metavar="A.csv", help="predictions of the first model")],
    second: Annotated[Path, PathArgument(metavar="B.csv", help="predictions of the second model")],
    replicates: Annotated[int, typer.Option(help="of the bootstrap")] = 2000,
    seed: Annotated[int, typer.Option(help="draws them")] = 0,
    out: Annotated[
        Path | None, PathOption(metavar="FILE.csv", help="write the table as CSV too; must not exist yet")
    ] = None,
) -> None:
    """Compare two models' AUROC on the same images.

    Difference of AUROC (second minus first) by finding, with paired 95 % intervals from a bootstrap over patients and
    p-values corrected by Holm. Both files are predictions.csv of an evaluate.py report.
    """
    if out and (out.exists() or not out.parent.is_dir()):
        found = "exists already" if out.exists() else "its folder does not exist"
        raise ValueError(f"Expected a new file in a folder as --out but '{out}': {found}. Choose another name.")
    compare_models = resolve_name("cxr_lightning.report.comparison_report:compare_models")
    report = compare_models(first, second, replicates=replicates, seed=seed)
    resolve_name("cxr_lightning.report.comparison:show_comparison")(report.comparison)
    if out:
        report.to_csv(out)
