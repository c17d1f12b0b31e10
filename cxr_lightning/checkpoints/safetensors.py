"""Write and read a model as safetensors, with its description in the metadata."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cxr_lightning.checkpoints.checkpoint_model import check_content
from cxr_lightning.checkpoints.metadata import describe_model, exported_description, parse_description
from cxr_lightning.models.backbones.registry import check_recorded_backbone
from cxr_lightning.models.reference_pair import exact_probabilities
from cxr_lightning.models.trained_model import NETWORK_PREFIX, TrainedModel, build_network
from cxr_lightning.models.version_0_1 import current_names
from cxr_lightning.utils.file_names import METADATA_KEY, REFERENCE_KEY
from cxr_lightning.utils.io import atomic_path
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.plain_text import one_line_reason
from cxr_lightning.utils.versions import versions

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""The number of the system's error in a message of safetensors."""
_REFERENCE_IMAGE = "reference.image"
_PROBABILITIES = "reference_probabilities"


def write_safetensors(model: TrainedModel, path: Path) -> None:
    """Write a model's tensors, with the text of :func:`describe_model` and the reference image.

    Args:
        model: A trained model.
        path: File to write; must not exist.

    Raises:
        ValueError: If there is such a file.
        OSError: If it cannot be written; no part of it remains.
    """
    if path.exists():
        raise ValueError(f"Expected a new file but '{path}' exists already. Choose another name.")
    state = {f"{NETWORK_PREFIX}{name}": tensor for name, tensor in model.network.state_dict().items()}
    metadata = {"format": "pt", METADATA_KEY: describe_model(model)}
    if model.reference is not None:
        state[_REFERENCE_IMAGE] = model.reference.image
        # The checkpoint's, where it has them: this installation would always reproduce its own.
        probabilities = model.reference.probabilities or exact_probabilities(model.network, model.reference.image)
        metadata[_PROBABILITIES] = json.dumps(list(probabilities))
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except SafetensorError as error:
        if (number := _SYSTEM_ERROR.search(str(error))) is not None:
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise OSError(f"Expected to write '{path}' but that failed ({error}). Choose another place.") from error


def read_safetensors(path: str) -> dict[str, Any]:
    """Read a file that :func:`write_safetensors` wrote, as the content of a checkpoint.

    Raises:
        ValueError: If it is another file, is damaged, its tensors do not fit its network, or its backbone is of a
            package that is not trusted.
        ImportError: If that package cannot be imported.
    """
    try:
        description = parse_description(exported_description(path) or "")
    except (ValueError, KeyError, TypeError) as error:
        raise _refusal(path, error) from error
    check_recorded_backbone(description.hyper_parameters, path)
    try:
        with safe_open(path, framework="pt") as file:
            probabilities = parse_json((file.metadata() or {}).get(_PROBABILITIES, "[]"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        image = tensors.pop(_REFERENCE_IMAGE, None)
        settings = description.hyper_parameters
        content: dict[str, Any] = {
            "epoch": -1,
            "global_step": 0,
            "pytorch-lightning_version": versions()["pytorch-lightning"],
            "hyper_parameters": settings,
            "state_dict": _checked_state(settings, current_names(tensors)),
            METADATA_KEY: description.record,
        }
        if image is not None:
            content[REFERENCE_KEY] = {"image": image, "probabilities": probabilities}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _refusal(path, error) from error
    check_content(content, path)
    return content


def _refusal(path: str, error: Exception) -> ValueError:
    reason = one_line_reason(error)
    return ValueError(
        f"Expected a model that `cxr export` wrote in '{path}' but it is none, or is damaged "
        f"({type(error).__name__}: {reason}). Export it again."
    )


def _checked_state(settings: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors, which are all finite, of the names and shapes of its settings."""
    if wrong := [name for name, one in tensors.items() if one.is_floating_point() and not torch.isfinite(one).all()]:
        raise ValueError(f"{wrong[0]} has values that are not numbers")
    network = build_network(settings)
    expected = {f"{NETWORK_PREFIX}{name}": tensor.shape for name, tensor in network.state_dict().items()}
    if different := set(tensors) ^ set(expected):
        raise ValueError(f"{len(different)} tensors are missing or not its own")
    if wrong := [name for name, shape in expected.items() if tensors[name].shape != shape]:
        raise ValueError(f"{wrong[0]} is {tuple(tensors[wrong[0]].shape)}, not {tuple(expected[wrong[0]])}")
    return tensors
