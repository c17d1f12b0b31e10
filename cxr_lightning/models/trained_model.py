"""A trained network and what its file says about it. Independent of Lightning, whose import takes seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cxr_lightning.models.network import Network
from cxr_lightning.models.reference_pair import ReferencePair
from cxr_lightning.models.settings_model import ModelSettings

NETWORK_PREFIX = "network."
"""Prefix of the network's tensors in a model's file."""


class TrainedModel(Protocol):
    """A trained network and its record: a :class:`LoadedModel`, or the LightningModule that is trained."""

    network: Network
    """The network, from gray images to logits."""
    labels: tuple[str, ...]
    """Finding names, in output order."""
    metadata: dict[str, Any]
    """Metadata of the training, and the post-processing; plain values."""
    reference: ReferencePair | None
    """The reference image and its probabilities; None if there is none."""
    val_auroc_by_label: dict[str, float]
    """AUROC of the last validation, by label."""

    @property
    def hparams(self) -> Mapping[str, Any]:
        """Settings with which the model is built again."""


@dataclass
class LoadedModel:
    """A :class:`TrainedModel` from a file.

    Attributes:
        network: The network.
        labels: Finding names, in output order.
        hparams: Settings with which the model is built again.
        metadata: Metadata of the training, and the post-processing.
        reference: The reference image; None if there is none.
        val_auroc_by_label: AUROC of the last validation, by label.
        loss_state: What the file holds of the loss, by names in the state of the LightningModule.
    """

    network: Network
    labels: tuple[str, ...]
    hparams: Mapping[str, Any]
    metadata: dict[str, Any]
    reference: ReferencePair | None = None
    val_auroc_by_label: dict[str, float] = field(default_factory=dict)
    loss_state: Mapping[str, Any] = field(default_factory=dict)


def build_network(settings: Mapping[str, Any]) -> Network:
    """A network with random weights.

    Args:
        settings: Settings of a model, as its file has them, whose types are checked.

    Raises:
        ValueError: If one is impossible.
    """
    model = ModelSettings.model_construct(**settings)  # with the defaults of what older files lack
    return Network(
        model.backbone,
        len(model.labels),
        preprocessing=model.preprocessing,
        mean=model.mean,
        std=model.std,
        image_size=model.image_size,
        batch_norm_epsilon=model.batch_norm_epsilon,
        final_relu=model.final_relu,
        drop_rate=model.drop_rate,
        **(model.variations or {}),
    )
