"""PyTorch and safetensors weight files of other projects."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights, check_finite
from cxr_lightning.checkpoints.state_dict import MAX_WEIGHT_BYTES, named_tensors
from cxr_lightning.models.backbones.densenet import TORCHVISION_BATCH_NORM_EPSILON
from cxr_lightning.utils.file_names import METADATA_KEY
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.torch_io import load_safely

_DENSE_LAYER = re.compile(r"features\.denseblock(\d)\.denselayer(\d+)\.norm1\.weight")
_LABEL_KEYS = ("labels", "class_names", "classes", "pathologies")
"""Keys under which files keep the names of their outputs."""


def read_pytorch(path: Path) -> ForeignWeights:
    """Read the network in a PyTorch file; no code in the file is run.

    Raises:
        ValueError: If it is damaged, holds more than plain values, or has no finite tensors.
    """
    content = load_safely(str(path))
    metadata = content if isinstance(content, Mapping) else {}
    if METADATA_KEY in metadata:
        raise ValueError(f"Expected foreign weights in '{path}' but it is a checkpoint of this package already.")
    return _to_weights(named_tensors(content, str(path)), metadata, path, "PyTorch")


def read_foreign_safetensors(path: Path) -> ForeignWeights:
    """Read the network in a safetensors file that this package did not write; errors as in :func:`read_pytorch`."""
    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise ValueError(f"Expected the weights of a network in '{path}' but it has {path.stat().st_size:,} bytes.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {key: _parse_metadata(value) for key, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"Expected a safetensors file in '{path}' but it is damaged ({error}). Download or save it again."
        ) from error
    if METADATA_KEY in metadata:
        raise ValueError(f"Expected foreign weights in '{path}' but `cxr export` wrote it: use it as it is.")
    return _to_weights(named_tensors(tensors, str(path)), metadata, path, "safetensors")


def _to_weights(
    tensors: dict[str, Tensor], metadata: Mapping[str, Any], path: Path, format_name: str
) -> ForeignWeights:
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    check_finite(state, path)
    head = state.get("classifier.weight")
    labels, label_decisions = _find_labels(metadata)
    epsilon = TORCHVISION_BATCH_NORM_EPSILON
    return ForeignWeights(
        state=state,
        blocks=_count_blocks(state),
        num_outputs=None if head is None or head.ndim != 2 else len(head),
        batch_norm_epsilon=epsilon,
        final_relu=True,
        labels=labels,
        format=f"{format_name}, {len(state)} tensors",
        decisions=(
            f"batch-norm epsilon {epsilon:g} and a final ReLU, as torchvision's DenseNet has them",
            *label_decisions,
        ),
    )


def _count_blocks(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Highest number of a dense layer in each of the four dense blocks; empty if there are none."""
    highest = [0, 0, 0, 0]
    for name in state:
        if (match := _DENSE_LAYER.fullmatch(name)) and 1 <= int(match[1]) <= 4:
            highest[int(match[1]) - 1] = max(highest[int(match[1]) - 1], int(match[2]))
    return tuple(highest) if any(highest) else ()


def _find_labels(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Names of the outputs, if the file states them, and the decision to use them."""
    for key in _LABEL_KEYS:
        names = metadata.get(key)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return tuple(names), (f"labels as the file names them in '{key}'",)
    return None, ()


def _parse_metadata(text: str) -> object:
    """Parse a metadata value of a safetensors file: always text, in which lists are written as JSON."""
    try:
        return parse_json(text)
    except ValueError:
        return text
