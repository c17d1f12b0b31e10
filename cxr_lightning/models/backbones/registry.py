"""Every backbone by its name, as the command line and a checkpoint name it."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from cxr_lightning.models.backbones.base import Backbone
from cxr_lightning.models.backbones.densenet import DENSENETS, TORCHVISION_BATCH_NORM_EPSILON
from cxr_lightning.models.backbones.plugin import check_network, import_backbone
from cxr_lightning.models.backbones.torchvision_networks import TORCHVISION_NETWORKS
from cxr_lightning.models.setting_rules import backbone_problem

BACKBONES: dict[str, Backbone] = {**DENSENETS, **TORCHVISION_NETWORKS}
"""Every backbone of this package by name."""

_NO_VARIATION = {"batch_norm_epsilon": TORCHVISION_BATCH_NORM_EPSILON, "final_relu": True, "drop_rate": 0.0}
"""Values that vary nothing: every checkpoint has them, also those of backbones without such a variation."""


def find_backbone(name: str, setting: str = "`model.backbone`") -> Backbone:
    """The backbone of a name.

    Args:
        name: One of ``BACKBONES``, or a dotted name in a package that is trusted by name.
        setting: The setting or file that names it, for the error.

    Raises:
        ValueError: If the name is unknown, or its package is not trusted or has no such backbone.
        ImportError: If its package cannot be imported.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if problem := backbone_problem(name, setting):
        raise ValueError(problem)
    return import_backbone(name, setting)


def check_recorded_backbone(settings: Mapping[str, Any], path: str) -> None:
    """Refuse a model file whose backbone is of a package that is not trusted, or not there.

    Args:
        settings: Settings of the model in the file.
        path: The file, for the error.

    Raises:
        ValueError: If the package is not trusted, or has no such backbone.
        ImportError: If the package cannot be imported.
    """
    name = settings.get("backbone")
    if isinstance(name, str) and "." in name:
        find_backbone(name, f"the backbone of '{path}'")


def build_backbone(name: str, num_labels: int, *, image_size: int = 224, **variations: Any) -> nn.Module:  # noqa: ANN401
    """Build a network with random weights.

    Args:
        name: See :func:`find_backbone`.
        num_labels: Number of outputs, C.
        image_size: Side of the images in pixels; a network of another package is tried with one.
        variations: Arguments of the backbone, such as ``batch_norm_epsilon``, ``final_relu`` and ``drop_rate`` of a
            DenseNet.

    Returns:
        A module from ``(B, 3, H, W)`` float32 to logits ``(B, C)``.

    Raises:
        ValueError: If the name is unknown, a variation is not one of this backbone or has an impossible value, or a
            network of another package has not the parts of a backbone.
        ImportError: If a package cannot be imported.
    """
    backbone = find_backbone(name)
    network = backbone.build(num_labels, **_accepted(backbone, name, variations))
    if name not in BACKBONES:
        check_network(network, backbone, name, num_labels, image_size)
    return network


def _accepted(backbone: Backbone, name: str, variations: Mapping[str, Any]) -> dict[str, Any]:
    """The variations that a backbone takes; others are refused unless they vary nothing."""
    named = backbone.variations or frozenset()
    given = {key: value for key, value in variations.items() if key in named or not _varies_nothing(key, value)}
    if backbone.variations is not None and (refused := sorted(set(given) - named)):
        raise ValueError(
            f"Expected variations of {name} among {sorted(named)} but got {refused}. "
            f"Leave out {', '.join(_setting_of(key) for key in refused)}."
        )
    return given


def _setting_of(key: str) -> str:
    return f"`model.{key}`" if key in _NO_VARIATION else f"`model.variations.{key}`"


def _varies_nothing(key: str, value: object) -> bool:
    return key in _NO_VARIATION and value == _NO_VARIATION[key]
