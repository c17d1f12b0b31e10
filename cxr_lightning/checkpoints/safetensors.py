"""A trained model for others: what its files say of it, and its tensors as safetensors."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cxr_lightning.labels import check_labels
from cxr_lightning.models.classifier import OF_TRAINING, REFERENCE_KEY, ChestXRayClassifier
from cxr_lightning.models.reference import exact_probabilities
from cxr_lightning.utils.torch_io import RECORD_KEY, exported_text
from cxr_lightning.utils.versions import versions

_REFERENCE_IMAGE = "reference.image"
_KEPT = ("network.", "preprocess.")
"""Parts whose tensors are written; the loss's are of no use any more."""
_LARGEST = 10_000
"""Side of the images in pixels."""


def description(model: ChestXRayClassifier) -> str:
    """What an exported file says of its model, as JSON: settings, labels, record; what is not a number is null."""
    auroc = dict(model.val_auroc_by_label)
    return json.dumps(
        _plain(
            {
                "not_for_clinical_use": True,
                "labels": list(model.labels),
                "image_size": int(model.hparams["image_size"]),
                "interpolation": str(model.hparams["interpolation"]),
                "backbone": str(model.hparams["backbone"]),
                "hyper_parameters": dict(model.hparams),
                "record": {**model.record, "labels": list(model.labels), "val_auroc": auroc},
            }
        ),
        allow_nan=False,
    )


def checked_description(text: str) -> dict[str, Any]:
    """What :func:`description` wrote, of a file that may have been changed since.

    Raises:
        ValueError: If it is something else.
    """
    about = json.loads(text)
    if not isinstance(about, dict):
        raise ValueError("its description is no object")
    kinds = {"labels": list, "image_size": int, "interpolation": str, "hyper_parameters": dict, "record": dict}
    for name, kind in kinds.items():
        if not isinstance(about.get(name), kind):
            raise ValueError(f"'{name}' in its description is no {kind.__name__}")
    check_labels(about["labels"])
    if not 1 <= about["image_size"] <= _LARGEST:
        raise ValueError(f"its image size is {about['image_size']}")
    record = about["record"]
    for name in ("prevalence", "val_auroc", "versions", "data", "fitted"):
        if not isinstance(record.get(name, {}), dict):
            raise ValueError(f"'{name}' in its record is no object")
    for name in ("prevalence", "val_auroc"):
        if not _numbers(list(record.get(name, {}).values())):
            raise ValueError(f"'{name}' in its record has values that are no numbers")
    return about


def _numbers(values: Any) -> bool:  # noqa: ANN401  # from a file
    """Whether it is a list of numbers, or nulls for what is none."""
    return isinstance(values, list) and all(value is None or isinstance(value, int | float) for value in values)


def _plain(value: Any) -> Any:  # noqa: ANN401  # whatever a record holds
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_safetensors(model: ChestXRayClassifier, path: Path) -> None:
    """Write a model's tensors, with :func:`description` and the reference picture beside them.

    Args:
        model: Trained.
        path: File to write; must not exist.

    Raises:
        ValueError: If there is such a file.
        OSError: If it cannot be written; nothing is left of it.
    """
    if path.exists():
        raise ValueError(f"Expected a new file but '{path}' exists already. Choose another name.")
    state = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(_KEPT)}
    metadata = {"format": "pt", RECORD_KEY: description(model)}
    if model.reference is not None:
        state[_REFERENCE_IMAGE] = model.reference.image
        # Those of the checkpoint, where it has them: computed anew they would agree with this installation in any case.
        known = model.reference.probabilities or exact_probabilities(model, model.reference.image)
        metadata["reference_probabilities"] = json.dumps(list(known))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, unfinished, metadata=metadata)
        unfinished.replace(path)
    except SafetensorError as error:
        raise OSError(f"Expected to write '{path}' but that failed ({error}). Free disk space.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def read_safetensors(path: str) -> dict[str, Any]:
    """The content of a checkpoint, from a file that :func:`write_safetensors` wrote.

    Raises:
        ValueError: If it is another file, is damaged, or its tensors are not its network's.
    """
    try:
        about = checked_description(exported_text(path) or "")
        with safe_open(path, framework="pt") as file:
            pair = json.loads((file.metadata() or {}).get("reference_probabilities", "[]"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        image = tensors.pop(_REFERENCE_IMAGE, None)
        settings = about["hyper_parameters"]
        if image is not None and (image.shape != (1, about["image_size"], about["image_size"]) or not _numbers(pair)):
            raise ValueError("its reference picture is none")
        content: dict[str, Any] = {
            "epoch": -1,
            "global_step": 0,
            "pytorch-lightning_version": versions()["pytorch-lightning"],
            "hyper_parameters": settings,
            "state_dict": _completed(settings, tensors),
            RECORD_KEY: about["record"],
        }
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"Expected a model that `cxr export` wrote in '{path}' but it is none, or is damaged "
            f"({type(error).__name__}: {reason}). Export it again."
        ) from error
    if image is not None:
        content[REFERENCE_KEY] = {"image": image, "probabilities": pair}
    return content


def _completed(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The network's and the preprocessing's tensors, with the loss's that a checkpoint has beside them."""
    if unknown := set(settings) & set(OF_TRAINING):
        raise ValueError(f"unknown settings {sorted(unknown)}")
    model = ChestXRayClassifier(**settings)
    if wrong := [name for name, one in tensors.items() if one.is_floating_point() and not torch.isfinite(one).all()]:
        raise ValueError(f"{wrong[0]} has values that are not numbers")
    expected = {name for name in model.state_dict() if name.startswith(_KEPT)}
    if set(tensors) != expected:
        raise ValueError(f"{len(set(tensors) ^ expected)} tensors are missing or not its own")
    model.load_state_dict(tensors, strict=False)
    return model.state_dict()
