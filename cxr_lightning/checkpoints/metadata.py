"""Metadata of model files: checked where a file is read, and written as JSON to exported files. Needs no torch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from cxr_lightning.checkpoints.metadata_model import ModelDescription, ModelMetadata
from cxr_lightning.utils.file_names import METADATA_FORMAT, METADATA_KEY
from cxr_lightning.utils.json_values import parse_json, to_json
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.typed_values import describe_errors

if TYPE_CHECKING:  # it brings torch, which reading metadata does not need
    from cxr_lightning.models.trained_model import TrainedModel


def describe_model(model: "TrainedModel") -> str:
    """Settings, labels and metadata of a model as JSON; numbers that are not finite are null."""
    return json.dumps(
        to_json(
            {
                "not_for_clinical_use": True,
                "labels": list(model.labels),
                "image_size": int(model.hparams["image_size"]),
                "interpolation": str(model.hparams["interpolation"]),
                "backbone": str(model.hparams["backbone"]),
                "hyper_parameters": dict(model.hparams),
                "record": {
                    **model.metadata,
                    "format": METADATA_FORMAT,
                    "labels": list(model.labels),
                    "val_auroc": dict(model.val_auroc_by_label),
                },
            },
            infinity_as_text=False,
        ),
        allow_nan=False,
    )


def parse_description(text: str) -> ModelDescription:
    """Parse and check what :func:`describe_model` wrote, from a file that may have been changed since.

    Raises:
        ValueError: If it is something else; the message names the key.
    """
    try:
        return ModelDescription.model_validate(parse_json(text))
    except ValidationError as error:
        raise ValueError(f"in its description, {describe_errors(error)}") from error


def check_metadata(metadata: object, path: str) -> None:
    """Check a checkpoint's metadata, from a file that may have been changed since it was written.

    Args:
        metadata: What the checkpoint holds under ``METADATA_KEY``.
        path: The file, for the message.

    Raises:
        ValueError: If a key is missing, or has another type or a value that breaks its rule.
    """
    try:
        ModelMetadata.model_validate(metadata)
    except ValidationError as error:
        raise ValueError(
            f"Expected metadata that cxr_lightning wrote in '{path}' but in it, {describe_errors(error)}. "
            "Copy the file again, or install the version that wrote it."
        ) from error


def exported_description(path: str) -> str | None:
    """The description in a safetensors file that this package exported, as JSON; None for any other file."""
    if Path(path).suffix != ".safetensors" or file_problem(path):  # a pipe would be waited for
        return None
    try:
        with safe_open(path, framework="np") as file:
            text: str | None = (file.metadata() or {}).get(METADATA_KEY)
            return text
    except (SafetensorError, OSError):
        return None
