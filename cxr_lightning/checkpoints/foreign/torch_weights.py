"""PyTorch files of other projects, and safetensors files."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from cxr_lightning.checkpoints.foreign.source import Source, check_finite
from cxr_lightning.utils.torch_io import MOST_BYTES, RECORD_KEY, load_safely, named_tensors

EPSILON = 1e-5
"""Of batch normalisations in torchvision."""

_LAYER = re.compile(r"features\.denseblock(\d)\.denselayer(\d+)\.norm1\.weight")
_LABELS = ("labels", "class_names", "classes", "pathologies")
"""Where files keep the names of their outputs."""


def read_torch(path: Path) -> Source:
    """The network in a PyTorch file; no code in it is run.

    Raises:
        ValueError: If it is damaged, holds more than plain values, or no finite tensors.
    """
    content = load_safely(str(path))
    metadata = content if isinstance(content, Mapping) else {}
    if RECORD_KEY in metadata:
        raise ValueError(f"Expected foreign weights in '{path}' but it is a checkpoint of this package already.")
    return _source(named_tensors(content, str(path)), metadata, path, "PyTorch")


def read_safetensors(path: Path) -> Source:
    """The network in a safetensors file; errors as in :func:`read_torch`."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"Expected the weights of a network in '{path}' but it has {path.stat().st_size:,} bytes.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {key: _parsed(value) for key, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"Expected a safetensors file in '{path}' but it is damaged ({error}). Download or save it again."
        ) from error
    if RECORD_KEY in metadata:
        raise ValueError(f"Expected foreign weights in '{path}' but `cxr export` wrote it: use it as it is.")
    return _source(named_tensors(tensors, str(path)), metadata, path, "safetensors")


def _source(tensors: dict[str, Tensor], metadata: Mapping[str, Any], path: Path, kind: str) -> Source:
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    check_finite(state, path)
    head = state.get("classifier.weight")
    labels, words = _labels(metadata)
    return Source(
        state=state,
        blocks=_blocks(state),
        outputs=None if head is None or head.ndim != 2 else len(head),
        batch_norm_epsilon=EPSILON,
        final_relu=True,
        labels=labels,
        format=f"{kind}, {len(state)} tensors",
        decisions=(f"batch-norm epsilon {EPSILON:g} and a final ReLU, as torchvision's DenseNet has them", *words),
    )


def _blocks(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    highest = [0, 0, 0, 0]
    for name in state:
        if (match := _LAYER.fullmatch(name)) and 1 <= int(match[1]) <= 4:
            highest[int(match[1]) - 1] = max(highest[int(match[1]) - 1], int(match[2]))
    return tuple(highest) if any(highest) else ()


def _labels(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    for key in _LABELS:
        names = metadata.get(key)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return tuple(names), (f"labels as the file names them in '{key}'",)
    return None, ()


def _parsed(text: str) -> object:
    """A metadata value, which is text; lists are written as JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
