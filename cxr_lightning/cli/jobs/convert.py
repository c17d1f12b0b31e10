"""The job of cxr convert."""

from pathlib import Path
from typing import Literal

from cxr_lightning.checkpoints.foreign.build import build_foreign_model
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.load import as_classifier
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.data.data_check import DataRequest
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.registry import build_layout
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.training.pixel_statistics import training_statistics
from cxr_lightning.utils.terminal import say
from cxr_lightning.utils.validation import check_choice

TrainingLayout = Literal["walkthrough", "nih"]


def convert_weights(
    file: str,
    out: Path,
    settings: ForeignSettings,
    *,
    training_data: Path | None,
    layout: TrainingLayout,
    seed: int,
    force: bool = False,
) -> None:
    """Convert a foreign file to a checkpoint, and print what was decided.

    Args:
        file: The foreign file.
        out: Checkpoint to write.
        settings: What the file does not state.
        training_data: Folder of training images from which mean and standard deviation are computed; None if they are
            given, or not needed.
        layout: Layout of that folder.
        seed: Seed that draws the images for that.
        force: Decode DICOM files although their headers state that they are no chest radiographs.

    Raises:
        ValueError: If the file cannot be converted, or training images are given and not needed.
    """
    foreign = resolve_foreign_model(file, settings)
    statistics: tuple[float | None, float | None] = (None, None)
    statistics_source = "given"
    if training_data:
        if not foreign.needs_statistics:
            raise ValueError(f"Expected no --training-data with the preprocessing {foreign.settings.preprocessing}.")
        statistics = _statistics(training_data, layout, seed, force, foreign.settings)
        statistics_source = f"computed from training images in '{training_data}', seed {seed}"
    model = build_foreign_model(foreign, *statistics, statistics_source=statistics_source)
    save_classifier(as_classifier(model), out)
    source = foreign.weights
    say(f"{file}: {source.format}, sha256 {foreign.sha256}")
    say(f"{foreign.backbone}, {len(source.state)} tensors, each used once; {source.num_parameters:,} parameters")
    for decision in foreign.decisions:
        say(f"  {decision}")
    mean, std = model.hparams["mean"], model.hparams["std"]
    if mean is not None:
        say(f"  mean {mean:.3f} and standard deviation {std:.3f} of training pixels, {statistics_source}")
    say(f"wrote {out}")


def _statistics(
    folder: Path, layout: TrainingLayout, seed: int, force: bool, settings: ForeignSettings
) -> tuple[float, float]:
    """Mean and standard deviation of a folder's training images."""
    datamodule = ChestXRayDataModule(
        str(folder),
        build_layout(layout),
        drop_leaked=True,
        seed=seed,
        force=force,
        image_size=settings.image_size or 320,
        interpolation=check_choice("interpolation", settings.interpolation or "nearest", Interpolation),
    )
    datamodule.load(DataRequest(required=("train",), images=("train",)))
    return training_statistics(datamodule)
