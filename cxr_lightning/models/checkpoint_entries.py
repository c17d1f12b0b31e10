"""What a model's checkpoint holds beside the weights: metadata, the reference image, the epoch's loss so far."""

from typing import TYPE_CHECKING, Any

import torch

from cxr_lightning.losses.contract import with_fitting_loss
from cxr_lightning.models.reference_pair import ReferencePair, exact_probabilities
from cxr_lightning.models.version_0_1 import current_names
from cxr_lightning.utils.file_names import EPOCH_KEY, METADATA_FORMAT, METADATA_KEY, REFERENCE_KEY
from cxr_lightning.utils.json_values import nan_to_null, null_to_nan

if TYPE_CHECKING:
    from cxr_lightning.models.classifier import ChestXRayClassifier

_NETWORK_PREFIX = "network."


def write_entries(model: "ChestXRayClassifier", checkpoint: dict[str, Any]) -> None:
    """Add the model's entries to a checkpoint.

    Args:
        model: The model.
        checkpoint: The content, with the weights to be saved: a callback that averages weights has put others than the
            model's into it.
    """
    auroc = {label: nan_to_null(value) for label, value in model.val_auroc_by_label.items()}
    checkpoint[METADATA_KEY] = {
        **model.metadata,
        "format": METADATA_FORMAT,  # metadata loaded from version 0.1 has 1
        "labels": list(model.labels),
        "val_auroc": auroc,
    }
    if model.reference is not None:
        image = model.reference.image
        saved = {
            name.removeprefix(_NETWORK_PREFIX): tensor
            for name, tensor in checkpoint["state_dict"].items()
            if name.startswith(_NETWORK_PREFIX)
        }
        checkpoint[REFERENCE_KEY] = {"image": image, "probabilities": exact_probabilities(model.network, image, saved)}
    with model.train_loss.sync_context():  # sums over all devices
        checkpoint[EPOCH_KEY] = [float(model.train_loss.mean_value), float(model.train_loss.weight)]


def read_entries(model: "ChestXRayClassifier", checkpoint: dict[str, Any]) -> None:
    """Restore what :func:`write_entries` added; adapt the tensors of version 0.1, and of another loss.

    Args:
        model: The model.
        checkpoint: The content of a checkpoint.
    """
    checkpoint["state_dict"] = with_fitting_loss(current_names(checkpoint["state_dict"]), model.loss)
    metadata = dict(checkpoint.get(METADATA_KEY, {}))
    auroc = metadata.pop("val_auroc", {})
    model.val_auroc_by_label = {label: null_to_nan(value) for label, value in auroc.items()}
    model.metadata = metadata or model.metadata
    if REFERENCE_KEY in checkpoint:
        model.reference = ReferencePair(**checkpoint[REFERENCE_KEY])
    if EPOCH_KEY in checkpoint and model.global_rank == 0:  # sums over all devices
        model.train_loss.mean_value, model.train_loss.weight = torch.tensor(checkpoint[EPOCH_KEY], device=model.device)
