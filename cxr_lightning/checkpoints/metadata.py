"""Description of a model as JSON, in the metadata of exported files. Reading it needs no torch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from cxr_lightning.labels import check_labels
from cxr_lightning.utils.file_names import METADATA_FORMAT, METADATA_KEY
from cxr_lightning.utils.json_values import to_json

if TYPE_CHECKING:  # it brings Lightning, which reading metadata does not need
    from cxr_lightning.models.classifier import ChestXRayClassifier

_MAX_IMAGE_SIZE = 10_000
"""Maximum side of the images in pixels."""


def describe_model(model: "ChestXRayClassifier") -> str:
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


def parse_description(text: str) -> dict[str, Any]:
    """Parse and check what :func:`describe_model` wrote, from a file that may have been changed since.

    Raises:
        ValueError: If it is something else.
    """
    description = json.loads(text)
    if not isinstance(description, dict):
        raise ValueError("its description is no object")
    kinds = {"labels": list, "image_size": int, "interpolation": str, "hyper_parameters": dict, "record": dict}
    for name, kind in kinds.items():
        if not isinstance(description.get(name), kind):
            raise ValueError(f"'{name}' in its description is no {kind.__name__}")
    check_labels(description["labels"])
    if not 1 <= description["image_size"] <= _MAX_IMAGE_SIZE:
        raise ValueError(f"its image size is {description['image_size']}")
    metadata = description["record"]
    for name in ("prevalence", "val_auroc", "versions", "data", "fitted"):
        if not isinstance(metadata.get(name, {}), dict):
            raise ValueError(f"'{name}' in its record is no object")
    for name in ("prevalence", "val_auroc"):
        if not are_numbers(list(metadata.get(name, {}).values())):
            raise ValueError(f"'{name}' in its record has values that are no numbers")
    return description


def exported_description(path: str) -> str | None:
    """The description in a safetensors file that this package exported, as JSON; None for any other file."""
    if Path(path).suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="np") as file:
            text: str | None = (file.metadata() or {}).get(METADATA_KEY)
            return text
    except (SafetensorError, OSError):
        return None


def are_numbers(values: Any) -> bool:  # noqa: ANN401  # from a file
    """Whether a value is a list of numbers, or nulls for undefined ones."""
    return isinstance(values, list) and all(value is None or isinstance(value, int | float) for value in values)
