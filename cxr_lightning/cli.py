"""The ``cxr`` command: everything that is files in, files out. It needs no configuration folder."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from cxr_lightning.versions import versions

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line; the process's own by default.

    Returns:
        The exit code: 0, or 1 after a message on stderr.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxr", description="Tools for chest X-ray classifiers. Not for clinical use.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version="\n".join(f"{k} {v}" for k, v in versions().items()))
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_phantom(verbs)
    _add_compare(verbs)
    return parser


def _add_phantom(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from cxr_lightning.data.phantom import PhantomSpec

    words = {
        "seed": "draws patients, findings and pictures",
        "train_images": "number of training images",
        "val_images": "number of validation images",
        "test_images": "number of test images",
        "image_size": "side of the images in pixels",
    }
    verb = verbs.add_parser("phantom", help="make the synthetic set in NIH's layout")
    verb.add_argument("out", type=Path, metavar="FOLDER", help="where the set's own folder is made")
    for field in fields(PhantomSpec):
        flag = f"--{field.name.replace('_', '-')}"
        verb.add_argument(flag, type=int, default=field.default, help=f"{words[field.name]} (default: %(default)s)")
    verb.set_defaults(run=_phantom)


def _phantom(parsed: argparse.Namespace) -> int:
    from cxr_lightning.data.phantom import PhantomSpec, build_phantom

    spec = PhantomSpec(**{field.name: getattr(parsed, field.name) for field in fields(PhantomSpec)})
    print(build_phantom(parsed.out, spec))
    return 0


def _add_compare(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    verb.set_defaults(run=_compare)


def _compare(parsed: argparse.Namespace) -> int:
    from rich.console import Console

    from cxr_lightning.evaluation.compare import compare
    from cxr_lightning.predictions import read_predictions
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
