"""cxr explain: heat maps of images."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from cxr_lightning.cli.arguments import names


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "explain",
        help="draw Grad-CAM heat maps of images",
        description="Draw, for each image and finding, the image beside a Grad-CAM heat map. By default the findings "
        "with the highest validation AUROC in the checkpoint. Not for clinical use.",
    )
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    verb.add_argument("--model", required=True, metavar="FILE", help="a checkpoint")
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--labels", type=names, metavar="A,B", help="findings to draw")
    which.add_argument("--top", type=int, default=4, help="number of findings (default: %(default)s)")
    verb.add_argument("--target-layer", choices=("post_relu", "pre_relu"), default="post_relu", help="of the network")
    verb.add_argument("--out", type=Path, default=Path("heatmaps"), metavar="FOLDER", help="(default: %(default)s)")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
    from cxr_lightning.checkpoints.load import load_model
    from cxr_lightning.explain.heatmaps import explain_image
    from cxr_lightning.imaging.reader import read_gray, resize
    from cxr_lightning.report.captions import single_name
    from cxr_lightning.report.write import write_overlay

    if parsed.top < 1:
        raise ValueError(f"Expected --top to be at least 1 but got {parsed.top}.")
    if is_foreign_file(parsed.model):
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
        pixels = resize(read_gray(image), model.hparams["image_size"], model.hparams["interpolation"])
        overlays = explain_image(model, image.name, pixels, labels, parsed.target_layer)
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
