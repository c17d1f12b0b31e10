"""The job of cxr convert."""

import argparse
from dataclasses import fields

from cxr_lightning.checkpoints.foreign.build import build_foreign_classifier
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.registry import build_layout
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.training.pixel_statistics import training_statistics
from cxr_lightning.utils.validation import check_choice


def convert(parsed: argparse.Namespace) -> int:
    """Convert a foreign file to a checkpoint, and print what was decided."""
    settings = {field.name: getattr(parsed, field.name) for field in fields(ForeignSettings)}
    foreign = resolve_foreign_model(parsed.file, ForeignSettings(**settings))
    statistics: tuple[float | None, float | None] = (None, None)
    statistics_source = "given"
    if parsed.training_data:
        if not foreign.needs_statistics:
            raise ValueError(f"Expected no --training-data with the preprocessing {foreign.settings.preprocessing}.")
        statistics = _statistics(parsed, foreign.settings.image_size, foreign.settings.interpolation)
        statistics_source = f"computed from training images in '{parsed.training_data}', seed {parsed.seed or 0}"
    model = build_foreign_classifier(foreign, *statistics, statistics_source=statistics_source)
    save_classifier(model, parsed.out)
    source = foreign.weights
    print(f"{parsed.file}: {source.format}, sha256 {foreign.sha256}")
    print(f"{foreign.backbone}, {len(source.state)} tensors, each used once; {source.num_parameters:,} parameters")
    for decision in foreign.decisions:
        print(f"  {decision}")
    mean, std = model.hparams["mean"], model.hparams["std"]
    if mean is not None:
        print(f"  mean {mean:.3f} and standard deviation {std:.3f} of training pixels, {statistics_source}")
    print(f"wrote {parsed.out}")
    return 0


def _statistics(parsed: argparse.Namespace, size: int | None, interpolation: str | None) -> tuple[float, float]:
    """Mean and standard deviation of a folder's training images."""
    datamodule = ChestXRayDataModule(
        str(parsed.training_data),
        build_layout(parsed.layout or "walkthrough"),
        drop_leaked=True,
        seed=parsed.seed or 0,
        image_size=size or 320,
        interpolation=check_choice("interpolation", interpolation or "nearest", Interpolation),
    )
    datamodule.load(required=("train",), images=("train",))
    return training_statistics(datamodule)
