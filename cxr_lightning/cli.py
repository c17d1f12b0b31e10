"""The ``cxr`` command: everything that is files in, files out. It needs no configuration folder."""

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
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
    _add_convert(verbs)
    _add_explain(verbs)
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


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


def _add_convert(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "convert",
        help="turn foreign weights into a checkpoint",
        description="Turn a Keras file (.h5, .hdf5, .keras), a PyTorch file of another project (.pth, .pt) or a "
        ".safetensors file of DenseNet-121, -169 or -201 into a checkpoint. What the file does not say is decided as "
        "the output tells, or must be given. A Keras file with 14 outputs is taken for one of the Keras walk-through.",
    )
    verb.add_argument("file", metavar="FILE")
    verb.add_argument("out", type=Path, metavar="OUT.ckpt", help="must not exist yet")
    verb.add_argument("--labels", type=_names, metavar="A,B", help="in the order of the outputs")
    verb.add_argument("--preprocessing", choices=("imagenet", "featurewise", "samplewise", "none"))
    verb.add_argument("--mean", type=float, help="of training pixels in [0, 255], with featurewise")
    verb.add_argument("--std", type=float, help="likewise")
    verb.add_argument(
        "--training-data", type=Path, metavar="FOLDER", help="compute mean and std of the training images in it instead"
    )
    verb.add_argument("--layout", choices=("walkthrough", "nih"), help="of that folder (default: walkthrough)")
    verb.add_argument("--seed", type=int, help="draws the images for that (default: 0)")
    verb.add_argument("--image-size", type=int, help="side in pixels")
    verb.add_argument("--interpolation", choices=("nearest", "bilinear", "bicubic", "lanczos"))
    verb.add_argument(
        "--final-relu",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether an activation follows the last batch normalisation, whatever the file says",
    )
    verb.set_defaults(run=_convert)


def _convert(parsed: argparse.Namespace) -> int:
    if parsed.out.exists():
        raise ValueError(f"Expected a new file as OUT but '{parsed.out}' exists already. Choose another name.")
    if parsed.out.suffix != ".ckpt":
        raise ValueError(f"Expected OUT to end in .ckpt but got '{parsed.out}'.")
    if parsed.training_data is None and (parsed.layout is not None or parsed.seed is not None):
        raise ValueError("Expected --training-data beside --layout and --seed, which say how it is read.")
    if parsed.training_data is not None and (parsed.mean is not None or parsed.std is not None):
        raise ValueError("Expected either --training-data or --mean and --std but got both.")
    from cxr_lightning.inference.foreign import Settings, build_model, read_foreign, save_model

    given = {field.name: getattr(parsed, field.name) for field in fields(Settings)}
    foreign = read_foreign(parsed.file, Settings(**given))
    statistics: tuple[float | None, float | None] = (None, None)
    origin = "given"
    if parsed.training_data:
        if not foreign.needs_statistics:
            raise ValueError(f"Expected no --training-data with the preprocessing {foreign.settings.preprocessing}.")
        statistics = _statistics(parsed, foreign.settings.image_size, foreign.settings.interpolation)
        origin = f"computed from training images in '{parsed.training_data}', seed {parsed.seed or 0}"
    model = build_model(foreign, *statistics, origin=origin)
    save_model(model, parsed.out)
    source = foreign.source
    print(f"{parsed.file}: {source.format}, sha256 {foreign.sha256}")
    print(f"{foreign.backbone}, {len(source.state)} tensors, each used once; {source.parameters:,} parameters")
    for decision in foreign.decisions:
        print(f"  {decision}")
    mean, std = model.hparams["mean"], model.hparams["std"]
    if mean is not None:
        print(f"  mean {mean:.3f} and standard deviation {std:.3f} of training pixels, {origin}")
    print(f"wrote {parsed.out}")
    return 0


def _statistics(parsed: argparse.Namespace, size: int | None, interpolation: str | None) -> tuple[float, float]:
    """Mean and standard deviation of a folder's training images."""
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.data.images import check_interpolation
    from cxr_lightning.data.sources import build_source
    from cxr_lightning.inference.foreign import training_statistics

    datamodule = ChestXRayDataModule(
        str(parsed.training_data),
        build_source(parsed.layout or "walkthrough"),
        split="official" if parsed.layout == "nih" else "walkthrough",
        drop_leaked=True,
        seed=parsed.seed or 0,
        image_size=size or 320,
        interpolation=check_interpolation(interpolation or "nearest"),
    )
    datamodule.load(required=("train",), images=("train",))
    return training_statistics(datamodule)


def _add_explain(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser(
        "explain",
        help="draw Grad-CAM heat maps of images",
        description="Draw, for each image and finding, the image beside a Grad-CAM heat map. By default the findings "
        "with the highest validation AUROC in the checkpoint. Not for clinical use.",
    )
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    verb.add_argument("--model", required=True, metavar="FILE", help="a checkpoint")
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--labels", type=_names, metavar="A,B", help="findings to draw")
    which.add_argument("--top", type=int, default=4, help="number of findings (default: %(default)s)")
    verb.add_argument("--target-layer", choices=("post_relu", "pre_relu"), default="post_relu", help="of the network")
    verb.add_argument("--out", type=Path, default=Path("heatmaps"), metavar="FOLDER", help="(default: %(default)s)")
    verb.set_defaults(run=_explain)


def _explain(parsed: argparse.Namespace) -> int:
    from cxr_lightning.conversion.read import is_foreign
    from cxr_lightning.evaluation.heatmaps import explain_images
    from cxr_lightning.inference.checkpoints import load_model
    from cxr_lightning.report.captions import single_name
    from cxr_lightning.report.write import write_overlay

    if parsed.top < 1:
        raise ValueError(f"Expected --top to be at least 1 but got {parsed.top}.")
    if is_foreign(parsed.model):
        raise ValueError(f"Expected a checkpoint as --model but got '{parsed.model}'. First: cxr convert.")
    model = load_model(parsed.model)
    labels = parsed.labels or _best_known(model.val_auroc_by_label, parsed.top, parsed.model)
    paths = {image: [parsed.out / single_name(image.stem, label) for label in labels] for image in parsed.images}
    wanted = [path for of_image in paths.values() for path in of_image]
    if taken := [path for path in wanted if path.exists() or wanted.count(path) > 1]:
        raise ValueError(f"Expected new files of different names but '{taken[0]}' is there already or twice.")
    if absent := [image for image in parsed.images if not image.is_file()]:
        raise FileNotFoundError(f"Expected images but {len(absent)} files are not there, first '{absent[0]}'.")
    title = "TRAINED ON SYNTHETIC DATA" if model.record.get("data", {}).get("synthetic") else ""
    for image, files in paths.items():
        overlays = explain_images(model, [image], labels, parsed.target_layer)
        parsed.out.mkdir(parents=True, exist_ok=True)
        for path, overlay in zip(files, overlays, strict=True):
            write_overlay(overlay, path, title)
            print(path)
    return 0


def _best_known(auroc: Mapping[str, float], top: int, path: str) -> list[str]:
    """The findings with the highest validation AUROC in a checkpoint."""
    known = {label: value for label, value in auroc.items() if not math.isnan(value)}
    if not known:
        raise ValueError(
            f"Expected a validation AUROC in '{path}' to choose findings by but it has none. Name them with --labels."
        )
    best = sorted(known, key=lambda label: -known[label])[:top]
    print(f"findings with the highest validation AUROC: {', '.join(f'{label} ({known[label]:.3f})' for label in best)}")
    return best
