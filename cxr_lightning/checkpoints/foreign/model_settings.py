"""A foreign weight file with everything that it does not state itself: from the request, or by default."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.labels import WALKTHROUGH_LABELS, check_labels
from cxr_lightning.models.settings_model import Mode
from cxr_lightning.utils.command_line import pasteable_override
from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.validation import check_choice

_MIN_IMAGE_SIZE = 32
"""Minimum side of the images in pixels: five halvings leave one point."""


@dataclass(frozen=True)
class ForeignSettings:
    """What a bare weight file does not state; None stands for the default of its kind.

    Attributes:
        labels: Findings, in the order of the network's outputs.
        preprocessing: ``imagenet``, ``featurewise``, ``samplewise`` or ``none``.
        mean: Mean of the training images' pixels in [0, 255], with ``featurewise``.
        std: Standard deviation of the training images' pixels, with ``featurewise``.
        image_size: Side of the images in pixels.
        interpolation: How images are resized to it.
        final_relu: Whether an activation follows the last batch normalization, whatever the file states.
    """

    labels: Sequence[str] | None = None
    preprocessing: Mode | None = None
    mean: float | None = None
    std: float | None = None
    image_size: int | None = None
    interpolation: Interpolation | None = None
    final_relu: bool | None = None


@dataclass(frozen=True)
class ForeignModel:
    """A foreign network with all settings that a classifier needs, except perhaps the pixel statistics.

    Attributes:
        path: The file.
        sha256: Checksum of the file.
        weights: The tensors, and what the file states about the network.
        backbone: Name of the network.
        labels: Findings in the order of the outputs.
        settings: Resolved settings; only ``mean`` and ``std`` may be None.
        decisions: What was decided and why, each a phrase for people.
    """

    path: Path
    sha256: str
    weights: ForeignWeights
    backbone: str
    labels: tuple[str, ...]
    settings: ForeignSettings
    decisions: tuple[str, ...]

    @property
    def needs_statistics(self) -> bool:
        """Whether mean and standard deviation of the training pixels are required and not known yet."""
        return self.settings.preprocessing == "featurewise" and None in (self.settings.mean, self.settings.std)


def resolve_foreign_model(path: str, requested: ForeignSettings) -> ForeignModel:
    """Read a foreign file and resolve what it does not state, from the requested settings or by default.

    The Keras walk-through's files are recognized by 14 outputs: their labels, 320 pixels, nearest-neighbor resizing and
    feature-wise normalization are then the defaults. PyTorch files default to ImageNet's normalization at 224 pixels.

    Args:
        path: The file.
        requested: Settings of the user, which override what the file states and the defaults.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, has no last layer, or a setting without a default is missing.
    """
    weights = read_foreign_weights(path)
    file = Path(path)
    backbone = weights.backbone_name(file)
    if weights.num_outputs is None:
        raise ValueError(
            f"Expected a network with a last layer in '{path}' but it has none. "
            f"Train one on it: train.py model={backbone} {pasteable_override('model.weights', path)} and your data."
        )
    _check_head(weights, path)
    _check_requested(requested)
    has_other_labels = requested.labels is not None and tuple(requested.labels) != WALKTHROUGH_LABELS
    walkthrough = weights.walkthrough and not has_other_labels
    labels, label_decision = _resolve_labels(weights, requested, walkthrough, path)
    settings, setting_decisions = _resolve_settings(weights, requested, labels, walkthrough, path)
    kept = [text for text in weights.decisions if requested.final_relu is None or "final ReLU" not in text]
    decisions = (*kept, label_decision, *setting_decisions)
    return ForeignModel(file, file_sha256(file), weights, backbone, labels, settings, decisions)


def _check_head(weights: ForeignWeights, path: str) -> None:
    """Refuse a last layer that is not one whole linear layer."""
    head = {name: tuple(tensor.shape) for name, tensor in weights.state.items() if name.startswith("classifier.")}
    if set(head) != {"classifier.weight", "classifier.bias"} or head["classifier.bias"] != (weights.num_outputs,):
        raise ValueError(
            f"Expected one linear layer with a weight and a bias as the last of the network in '{path}' but got {head}."
        )


def _check_requested(requested: ForeignSettings) -> None:
    """Refuse settings that are impossible or contradict each other."""
    mean, std = requested.mean, requested.std
    if requested.image_size is not None and requested.image_size < _MIN_IMAGE_SIZE:
        raise ValueError(f"Expected an image size of at least {_MIN_IMAGE_SIZE} but got {requested.image_size}.")
    if (mean is None) != (std is None):
        raise ValueError(f"Expected both a mean and a standard deviation but got {mean} and {std}.")
    if mean is not None and requested.preprocessing not in (None, "featurewise"):
        raise ValueError(
            f"Expected no mean and standard deviation beside the preprocessing {requested.preprocessing}, "
            "which needs none."
        )


def _resolve_labels(
    weights: ForeignWeights, requested: ForeignSettings, walkthrough: bool, path: str
) -> tuple[tuple[str, ...], str]:
    """Findings in the order of the outputs, and a phrase that states where they are from."""
    if requested.labels is not None:
        labels, decision = check_labels(requested.labels), "labels as given"
    elif weights.labels is not None:
        labels, decision = check_labels(weights.labels), "labels as the file names them"
    elif walkthrough:
        labels, decision = WALKTHROUGH_LABELS, "labels in the walk-through's order: 14 outputs, from Keras"
    else:
        raise ValueError(
            f"Expected `labels` for the {weights.num_outputs} outputs of '{path}' but they are not given, and the file "
            "does not name them. Give them in the order of its outputs."
        )
    if len(labels) != weights.num_outputs:
        raise ValueError(
            f"Expected {weights.num_outputs} labels for the outputs of '{path}' but got {len(labels)}: {list(labels)}. "
            "Give one for each, in order."
        )
    return labels, decision


def _resolve_settings(
    weights: ForeignWeights, requested: ForeignSettings, labels: tuple[str, ...], walkthrough: bool, path: str
) -> tuple[ForeignSettings, list[str]]:
    """All settings, and a phrase for each that states where it is from."""
    requests = {name: getattr(requested, name) for name in ("preprocessing", "image_size", "interpolation")}
    defaults = _defaults(weights, walkthrough)
    chosen: dict[str, Any] = {
        name: defaults[name] if request is None else request for name, request in requests.items()
    }
    if chosen["preprocessing"] is None:
        raise ValueError(
            f"Expected `preprocessing` for '{path}' but it is not given, and the file does not state it. "
            "Choose imagenet, featurewise (with mean and std), samplewise or none, as in its training."
        )
    check_choice("interpolation", chosen["interpolation"], Interpolation)
    final_relu = weights.final_relu if requested.final_relu is None else requested.final_relu
    decisions = [] if requested.final_relu is None else [f"{'a' if final_relu else 'no'} final ReLU, as given"]
    for name, value in chosen.items():
        decisions.append(f"{name.replace('_', ' ')} {value}, {'the default' if requests[name] is None else 'as given'}")
    settings = ForeignSettings(labels, mean=requested.mean, std=requested.std, final_relu=final_relu, **chosen)
    return settings, decisions


def _defaults(weights: ForeignWeights, walkthrough: bool) -> dict[str, Any]:
    if walkthrough:
        return {"preprocessing": "featurewise", "image_size": 320, "interpolation": "nearest"}
    if weights.from_keras:
        return {"preprocessing": None, "image_size": 320, "interpolation": "nearest"}
    return {"preprocessing": "imagenet", "image_size": 224, "interpolation": "bilinear"}
