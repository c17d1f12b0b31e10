"""cxr convert: foreign weights to a checkpoint."""

import argparse
from dataclasses import fields
from pathlib import Path

from cxr_lightning.cli.arguments import names


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "convert",
        help="turn foreign weights into a checkpoint",
        description="Turn a Keras file (.h5, .hdf5, .keras), a PyTorch file of another project (.pth, .pt) or a "
        ".safetensors file of DenseNet-121, -169 or -201 into a checkpoint. What the file does not say is decided as "
        "the output tells, or must be given. A Keras file with 14 outputs is taken for one of the Keras walk-through.",
    )
    verb.add_argument("file", metavar="FILE")
    verb.add_argument("out", type=Path, metavar="OUT.ckpt", help="must not exist yet")
    verb.add_argument("--labels", type=names, metavar="A,B", help="in the order of the outputs")
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
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    if parsed.out.exists():
        raise ValueError(f"Expected a new file as OUT but '{parsed.out}' exists already. Choose another name.")
    if parsed.out.suffix != ".ckpt":
        raise ValueError(f"Expected OUT to end in .ckpt but got '{parsed.out}'.")
    if parsed.training_data is None and (parsed.layout is not None or parsed.seed is not None):
        raise ValueError("Expected --training-data beside --layout and --seed, which say how it is read.")
    if parsed.training_data is not None and (parsed.mean is not None or parsed.std is not None):
        raise ValueError("Expected either --training-data or --mean and --std but got both.")
    from cxr_lightning.checkpoints.foreign.build import build_foreign_classifier, save_model
    from cxr_lightning.checkpoints.foreign.resolve import ForeignSettings, resolve_foreign_model

    given = {field.name: getattr(parsed, field.name) for field in fields(ForeignSettings)}
    foreign = resolve_foreign_model(parsed.file, ForeignSettings(**given))
    statistics: tuple[float | None, float | None] = (None, None)
    origin = "given"
    if parsed.training_data:
        if not foreign.needs_statistics:
            raise ValueError(f"Expected no --training-data with the preprocessing {foreign.settings.preprocessing}.")
        statistics = _statistics(parsed, foreign.settings.image_size, foreign.settings.interpolation)
        origin = f"computed from training images in '{parsed.training_data}', seed {parsed.seed or 0}"
    model = build_foreign_classifier(foreign, *statistics, statistics_source=origin)
    save_model(model, parsed.out)
    source = foreign.weights
    print(f"{parsed.file}: {source.format}, sha256 {foreign.sha256}")
    print(f"{foreign.backbone}, {len(source.state)} tensors, each used once; {source.num_parameters:,} parameters")
    for decision in foreign.decisions:
        print(f"  {decision}")
    mean, std = model.hparams["mean"], model.hparams["std"]
    if mean is not None:
        print(f"  mean {mean:.3f} and standard deviation {std:.3f} of training pixels, {origin}")
    print(f"wrote {parsed.out}")
    return 0


def _statistics(parsed: argparse.Namespace, size: int | None, interpolation: str | None) -> tuple[float, float]:
    """Mean and standard deviation of a folder's training images."""
    from cxr_lightning.checkpoints.foreign.build import training_statistics
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.data.datasets.registry import build_layout
    from cxr_lightning.imaging.reader import Interpolation
    from cxr_lightning.utils.validation import check_choice

    datamodule = ChestXRayDataModule(
        str(parsed.training_data),
        build_layout(parsed.layout or "walkthrough"),
        split="official" if parsed.layout == "nih" else "walkthrough",
        drop_leaked=True,
        seed=parsed.seed or 0,
        image_size=size or 320,
        interpolation=check_choice("interpolation", interpolation or "nearest", Interpolation),
    )
    datamodule.load(required=("train",), images=("train",))
    return training_statistics(datamodule)
