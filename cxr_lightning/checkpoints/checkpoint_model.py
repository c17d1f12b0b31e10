"""The types of a checkpoint's other entries: the training's progress, the reference image, the epoch's loss so far."""

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Self

import torch
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor

from cxr_lightning.checkpoints.metadata import check_metadata
from cxr_lightning.checkpoints.metadata_model import StoredValues
from cxr_lightning.models.settings_model import check_recorded_settings
from cxr_lightning.utils.checked_loading import refuse_class_names
from cxr_lightning.utils.file_names import EPOCH_KEY, METADATA_KEY, REFERENCE_KEY
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.torch_io import is_plain_tensor, tensors_within, values_within
from cxr_lightning.utils.typed_values import Count, Fraction, describe_errors

_PLAIN = (Mapping, list, tuple, str, int, float, NoneType)
"""Types of the values in the metadata, which are written as JSON elsewhere."""
_EXTRA_STATE = "_extra_state"
"""Last part of the names under which torch's modules keep other values than tensors."""


class ReferenceEntry(StoredValues):
    """The reference image and its probabilities."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    image: Tensor
    """``(1, S, S)`` uint8."""
    probabilities: list[Fraction]
    """One per label; null where undefined."""


class CheckpointEntries(StoredValues):
    """What a checkpoint holds beside its metadata, and the settings of its model."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    state_dict: dict[str, Any]
    """Tensors of the model by name, and what its loss keeps beside tensors."""
    epoch: Annotated[int, Field(ge=-1, le=2**53)] = -1
    """Number of the epoch; -1 for a model that was not trained by this package."""
    global_step: Count = 0
    """Number of steps so far."""
    loops: dict[str, Any] | None = None
    """Progress of Lightning's loops."""
    callbacks: dict[str, Any] | None = None
    """States of the callbacks, by their keys."""
    optimizer_states: list[dict[str, Any]] | None = None
    """States of the optimizers."""
    lr_schedulers: list[dict[str, Any]] | None = None
    """States of the learning-rate schedules."""
    reference: ReferenceEntry | None = Field(default=None, alias=REFERENCE_KEY)
    """The reference image; absent in files without one."""
    epoch_loss: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(default=None, alias=EPOCH_KEY)
    """Sum of the losses and number of the images of the epoch so far."""

    @field_validator("state_dict")
    @classmethod
    def _check_state(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is no tensor, except where torch's modules keep other values."""
        for name, value in state.items():
            if not isinstance(value, Tensor) and not name.endswith(_EXTRA_STATE):
                raise ValueError(f"expected a tensor as '{shorten(name)}', not {type(value).__name__}")
        return state

    @model_validator(mode="after")
    def _check_tensors(self) -> Self:
        """Refuse tensors that claim to be larger than their data, wherever they are."""
        entries = (self.state_dict, self.loops, self.callbacks, self.optimizer_states, self.lr_schedulers)
        image = self.reference and self.reference.image
        for tensor in tensors_within([*entries, image, self.model_extra]):
            if not is_plain_tensor(tensor):
                raise ValueError(f"a tensor {tuple(tensor.shape)} of {tensor.layout} is not a plain one")
        return self


def check_content(content: Mapping[str, Any], path: str) -> None:
    """Check the whole content of a checkpoint, from a file that may have been changed since it was written.

    Args:
        content: The content.
        path: The file, for messages.

    Raises:
        ValueError: If an entry is missing, has another type or a value that breaks its rule, or names code.
    """
    refuse_class_names(content, path)
    try:
        entries = CheckpointEntries.model_validate(dict(content))
    except ValidationError as error:
        raise ValueError(
            f"Expected a whole checkpoint in '{path}' but in it, {describe_errors(error)}. Copy it again."
        ) from error
    settings, metadata = content.get("hyper_parameters"), content.get(METADATA_KEY)
    check_recorded_settings(settings, path)
    check_metadata(metadata, path)
    if not all(isinstance(value, _PLAIN) for value in values_within(metadata)):
        raise ValueError(f"Expected plain values as metadata in '{path}' but it holds others. Copy it again.")
    if wrong := _contradictions(content, entries):
        raise ValueError(f"Expected a whole checkpoint in '{path}' but {wrong}. Copy it again.")


def _contradictions(content: Mapping[str, Any], entries: CheckpointEntries) -> str:
    """What does not fit together, as a clause; empty if all does."""
    settings = content["hyper_parameters"]
    if list(settings["labels"]) != content[METADATA_KEY]["labels"]:
        return "its settings and its metadata name other labels"
    if entries.reference is not None:
        image, size = entries.reference.image, settings["image_size"]
        if image.shape != (1, size, size) or image.dtype != torch.uint8:
            return f"its reference image is {tuple(image.shape)} of {image.dtype}, not (1, {size}, {size}) of uint8"
        if len(entries.reference.probabilities) not in (0, len(settings["labels"])):
            return "its reference probabilities are not one per label"
    return ""
