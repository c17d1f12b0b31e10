"""The synthetic reference image in a model's checkpoints, and the comparison of installations by it."""

import math

import numpy as np
import torch

from cxr_lightning.models.reference_pair import ReferencePair, exact_probabilities
from cxr_lightning.models.trained_model import TrainedModel
from cxr_lightning.phantom.reference_image import reference_image
from cxr_lightning.utils.versions import versions

REFERENCE_TOLERANCE = 1e-4
"""Accepted difference of a probability; processors that add in another order differ by about 1e-6."""


def attach_reference(model: TrainedModel) -> None:
    """Add the reference image, in the model's size, to a model's checkpoints."""
    image = reference_image(model.hparams["image_size"], model.hparams["interpolation"])
    model.reference = ReferencePair(torch.from_numpy(image.copy())[None])


def difference_from_reference(model: TrainedModel) -> float:
    """Largest difference of the reference image's probabilities from those computed when the model was saved.

    Raises:
        ValueError: If the model's file has no reference image.
    """
    reference = model.reference
    if reference is None or not reference.probabilities:
        raise ValueError(
            "Expected a reference image and its probabilities with the model but there are none: it is no "
            "checkpoint, or one of an earlier version. `cxr convert` makes a checkpoint of other weights."
        )
    current = exact_probabilities(model.network, reference.image)
    return float(np.abs(np.array(current, float) - np.array(reference.probabilities, float)).max())


def refuse_difference(difference: float) -> None:
    """Refuse an installation that computes other probabilities than the one that saved the model.

    Args:
        difference: From :func:`difference_from_reference`.

    Raises:
        ValueError: If it is more than ``REFERENCE_TOLERANCE``.
    """
    if math.isnan(difference):
        raise ValueError(
            "Expected probabilities from the model but got values that are not numbers. Its weights are damaged: copy "
            "the file again."
        )
    if difference > REFERENCE_TOLERANCE:
        raise ValueError(
            f"Expected the reference image's probabilities within {REFERENCE_TOLERANCE} of those stored with the "
            f"model but they differ by {difference:.1e}. Install the versions that it was saved with; do not use this "
            "installation for it."
        )


def changed_versions(model: TrainedModel) -> dict[str, tuple[str, str]]:
    """Versions of the packages that are others here than where the model was saved: here and there, by package."""
    saved = model.metadata.get("versions", {})
    current = versions()
    return {
        name: (current[name], saved[name])
        for name in sorted(current)
        if saved.get(name, current[name]) != current[name]
    }
