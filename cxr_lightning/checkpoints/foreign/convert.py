"""A foreign weight file to a model: what the file does not say is given, or decided and said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cxr_lightning.checkpoints.foreign.read import read_source
from cxr_lightning.checkpoints.foreign.source import Source
from cxr_lightning.checkpoints.reference import give_reference
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.manifest import file_sha256
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.labels import WALKTHROUGH_LABELS, check_labels
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.preprocess import Mode, featurewise_statistics
from cxr_lightning.utils.validation import check_choice
from cxr_lightning.utils.versions import versions

SMALLEST = 32
"""Side of the smallest images: five halvings leave one point."""

STATISTICS_IMAGES = 500
"""Training images whose pixels give the mean and standard deviation."""


@dataclass(frozen=True)
class Settings:
    """What a bare weight file does not say; None where the default for its kind will do.

    Attributes:
        labels: Findings, in the order of its outputs.
        preprocessing: ``imagenet``, ``featurewise``, ``samplewise`` or ``none``.
        mean: Of the training images' pixels in [0, 255], with ``featurewise``.
        std: Likewise.
        image_size: Side in pixels.
        interpolation: How images are resized to it.
        final_relu: Whether an activation follows the last batch normalisation, where the file does not say.
    """

    labels: Sequence[str] | None = None
    preprocessing: Mode | None = None
    mean: float | None = None
    std: float | None = None
    image_size: int | None = None
    interpolation: Interpolation | None = None
    final_relu: bool | None = None


@dataclass(frozen=True)
class Foreign:
    """A foreign network with all that a model needs, except perhaps the pixels' statistics.

    Attributes:
        path: The file.
        sha256: Of its bytes.
        source: What is in it.
        backbone: The network's name.
        labels: Findings in the order of its outputs.
        settings: Nothing is None but ``mean`` and ``std``.
        decisions: What was decided, and why, in words.
    """

    path: Path
    sha256: str
    source: Source
    backbone: str
    labels: tuple[str, ...]
    settings: Settings
    decisions: tuple[str, ...]

    @property
    def needs_statistics(self) -> bool:
        """Whether mean and standard deviation of training pixels are still wanted."""
        return self.settings.preprocessing == "featurewise" and None in (self.settings.mean, self.settings.std)


def read_foreign(path: str, given: Settings) -> Foreign:
    """Read a foreign file and decide what it leaves open.

    The Keras walk-through's files are known by 14 outputs: their labels, 320 pixels, nearest-neighbour resizing and
    feature-wise normalisation are then the defaults. PyTorch files default to ImageNet's normalisation at 224 pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, has no last layer, or something that it leaves open is not given.
    """
    source = read_source(path)
    file = Path(path)
    backbone = source.backbone(file)
    if source.outputs is None:
        raise ValueError(
            f"Expected a network with a last layer in '{path}' but it has none. "
            f"Train one on it: train.py model={backbone} model.weights={path}."
        )
    _check_head(source, path)
    _check_given(given)
    given_other = given.labels is not None and tuple(given.labels) != WALKTHROUGH_LABELS
    walkthrough = source.walkthrough and not given_other
    labels, words = _labels(source, given, walkthrough, path)
    defaults = _defaults(source, walkthrough)
    chosen: dict[str, Any] = {
        name: getattr(given, name) if getattr(given, name) is not None else value for name, value in defaults.items()
    }
    if chosen["preprocessing"] is None:
        raise ValueError(
            f"Expected `preprocessing` for '{path}' but it is not given, and the file does not say. "
            "Choose imagenet, featurewise (with mean and std), samplewise or none, as in its training."
        )
    check_choice("interpolation", chosen["interpolation"], Interpolation)
    final_relu = source.final_relu if given.final_relu is None else given.final_relu
    decisions = [*source.decisions, words]
    if given.final_relu is not None:
        decisions = [decision for decision in decisions if "final ReLU" not in decision]
        decisions.append(f"{'a' if final_relu else 'no'} final ReLU, as given")
    for name, value in chosen.items():
        decisions.append(
            f"{name.replace('_', ' ')} {value}, {'the default' if getattr(given, name) is None else 'as given'}"
        )
    settings = Settings(labels, mean=given.mean, std=given.std, final_relu=final_relu, **chosen)
    return Foreign(file, file_sha256(file), source, backbone, labels, settings, tuple(decisions))


def _check_head(source: Source, path: str) -> None:
    """Refuse a last layer that is not one whole linear layer."""
    head = {name: tuple(tensor.shape) for name, tensor in source.state.items() if name.startswith("classifier.")}
    if set(head) != {"classifier.weight", "classifier.bias"} or head["classifier.bias"] != (source.outputs,):
        raise ValueError(
            f"Expected one linear layer with a weight and a bias as the last of the network in '{path}' but got {head}."
        )


def _check_given(given: Settings) -> None:
    if given.image_size is not None and given.image_size < SMALLEST:
        raise ValueError(f"Expected an image size of at least {SMALLEST} but got {given.image_size}.")
    if (given.mean is None) != (given.std is None):
        raise ValueError(f"Expected both a mean and a standard deviation but got {given.mean} and {given.std}.")
    if given.mean is not None and given.preprocessing not in (None, "featurewise"):
        raise ValueError(
            f"Expected no mean and standard deviation beside the preprocessing {given.preprocessing}, which needs none."
        )


def _labels(source: Source, given: Settings, walkthrough: bool, path: str) -> tuple[tuple[str, ...], str]:
    if given.labels is not None:
        labels, words = check_labels(given.labels), "labels as given"
    elif source.labels is not None:
        labels, words = check_labels(source.labels), "labels as the file names them"
    elif walkthrough:
        labels, words = WALKTHROUGH_LABELS, "labels in the walk-through's order: 14 outputs, from Keras"
    else:
        raise ValueError(
            f"Expected `labels` for the {source.outputs} outputs of '{path}' but they are not given, and the file does "
            "not name them. Give them in the order of its outputs."
        )
    if len(labels) != source.outputs:
        raise ValueError(
            f"Expected {source.outputs} labels for the outputs of '{path}' but got {len(labels)}: {list(labels)}. "
            "Give one for each, in order."
        )
    return labels, words


def _defaults(source: Source, walkthrough: bool) -> dict[str, Any]:
    if walkthrough:
        return {"preprocessing": "featurewise", "image_size": 320, "interpolation": "nearest"}
    if source.keras:
        return {"preprocessing": None, "image_size": 320, "interpolation": "nearest"}
    return {"preprocessing": "imagenet", "image_size": 224, "interpolation": "bilinear"}


def training_statistics(datamodule: ChestXRayDataModule) -> tuple[float, float]:
    """Mean and standard deviation of training pixels in [0, 255], of images drawn with the data's seed.

    Args:
        datamodule: Loaded, with training images on disk.
    """
    return featurewise_statistics(datamodule.sample_images("train", STATISTICS_IMAGES))


def build_model(
    foreign: Foreign, mean: float | None = None, std: float | None = None, origin: str = "given"
) -> ChestXRayClassifier:
    """The model, in evaluation mode.

    Args:
        foreign: From :func:`read_foreign`.
        mean: Of training pixels, where they are still wanted.
        std: Likewise.
        origin: Where these two are from, for the record.

    Raises:
        ValueError: If they are wanted and not given.
    """
    settings = foreign.settings
    mean, std = (settings.mean, settings.std) if not foreign.needs_statistics else (mean, std)
    if settings.preprocessing == "featurewise" and (mean is None or std is None):
        raise ValueError(
            f"Expected the mean and standard deviation of training pixels for '{foreign.path}', which is normalised by "
            "them (feature-wise), but they are not given. Give `mean` and `std`, a folder of training images, or "
            "another `preprocessing`."
        )
    featurewise = settings.preprocessing == "featurewise"
    try:
        model = ChestXRayClassifier(
            foreign.labels,
            backbone=foreign.backbone,
            weights=foreign.source.state,
            image_size=settings.image_size or 224,
            interpolation=settings.interpolation or "bilinear",
            preprocessing=settings.preprocessing or "imagenet",
            mean=mean if featurewise else None,
            std=std if featurewise else None,
            batch_norm_epsilon=foreign.source.batch_norm_epsilon,
            final_relu=bool(settings.final_relu),
        )
    except ValueError as error:
        raise ValueError(f"Expected a whole {foreign.backbone} in '{foreign.path}' but: {error}") from error
    give_reference(model)
    model.record |= {
        "initial_weights": foreign.path.name,
        "source": {
            "file": foreign.path.name,
            "sha256": foreign.sha256,
            "format": foreign.source.format,
            "decisions": list(foreign.decisions),
            "pixel statistics": f"{origin}: {mean}, {std}" if featurewise else "none",
        },
    }
    return model.eval()


def save_model(model: ChestXRayClassifier, path: Path) -> None:
    """Write a model as a checkpoint that this package and Lightning load; it holds no training state.

    Raises:
        ValueError: If there is such a file already.
    """
    if path.exists():
        raise ValueError(f"Expected a new file but '{path}' exists already. Choose another name.")
    content: dict[str, Any] = {
        "epoch": -1,
        "global_step": 0,
        "pytorch-lightning_version": versions()["pytorch-lightning"],
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
    }
    model.on_save_checkpoint(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        with unfinished.open("wb") as file:
            torch.save(content, file)
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(f"Expected to write '{path}' but that failed ({error}). Choose another folder.") from error
