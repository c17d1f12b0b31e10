"""Load models as LightningModules, for training and evaluation."""

from typing import Any

from cxr_lightning.checkpoints.read import BUILD_ERRORS, not_this_version, read_checkpoint
from cxr_lightning.losses.contract import with_fitting_loss
from cxr_lightning.models.backbones.registry import check_recorded_backbone
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.trained_model import NETWORK_PREFIX, LoadedModel


def load_weights(model: ChestXRayClassifier, path: str) -> None:
    """Load the weights and the metadata of a checkpoint into the model that it was saved of.

    Errors are those of :func:`~cxr_lightning.checkpoints.read.read_checkpoint`.
    """
    _load(model, read_checkpoint(path))


def load_classifier(path: str) -> ChestXRayClassifier:
    """The model in a checkpoint or exported safetensors file, in evaluation mode on the CPU.

    Errors are those of :func:`~cxr_lightning.checkpoints.read.read_checkpoint`, and of
    :func:`~cxr_lightning.models.backbones.registry.check_recorded_backbone`.
    """
    content = read_checkpoint(path)
    settings = content["hyper_parameters"]
    check_recorded_backbone(settings, path)
    try:
        model = ChestXRayClassifier(**settings)
        _load(model, content)
    except BUILD_ERRORS as error:
        raise not_this_version(path, error) from error
    return model.eval()


def as_classifier(model: LoadedModel | ChestXRayClassifier) -> ChestXRayClassifier:
    """A model as a LightningModule, in evaluation mode on the same device.

    Tensors are copied, the metadata is shared; a LightningModule is returned as it is.
    """
    if isinstance(model, ChestXRayClassifier):
        return model
    classifier = ChestXRayClassifier(**model.hparams)
    network = {f"{NETWORK_PREFIX}{name}": tensor for name, tensor in model.network.state_dict().items()}
    classifier.load_state_dict(with_fitting_loss({**network, **model.loss_state}, classifier.loss))
    classifier.metadata, classifier.reference = model.metadata, model.reference
    classifier.val_auroc_by_label = model.val_auroc_by_label
    return classifier.to(model.network.device).eval()


def _load(model: ChestXRayClassifier, content: dict[str, Any]) -> None:
    model.on_load_checkpoint(content)
    model.load_state_dict(content["state_dict"])
