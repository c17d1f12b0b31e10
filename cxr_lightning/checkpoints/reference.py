"""The synthetic picture that a model's checkpoints carry."""

import torch

from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.reference import Reference
from cxr_lightning.phantom.reference import reference_image


def give_reference(model: ChestXRayClassifier) -> None:
    """Have a model's checkpoints carry the reference picture, in the model's size, and its probabilities."""
    picture = reference_image(model.hparams["image_size"], model.hparams["interpolation"])
    model.reference = Reference(torch.from_numpy(picture.copy())[None])
