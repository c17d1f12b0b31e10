"""PyTorch files, loaded without running code from them, and the names of the tensors in them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

IMAGENET = "imagenet"


def read_state(path: str) -> dict[str, Tensor]:
    """The network's tensors in a PyTorch file; ours, or any state_dict of the same network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, of another kind, or not loadable without running code from it.
    """
    if "://" in path:
        raise ValueError(
            f"Expected a file as `model.weights` but got the URL '{path}'. Download it and check its sha256."
        )
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"Expected null, {IMAGENET} or a weights file as `model.weights` but there is no file '{path}'."
        )
    if Path(path).suffix not in (".ckpt", ".pt", ".pth"):
        raise ValueError(f"Expected a .ckpt, .pt or .pth file as `model.weights` but got '{path}'.")
    return named_tensors(load_safely(path), path)


def named_tensors(content: object, path: str) -> dict[str, Tensor]:
    """The network's tensors among whatever a file held, in torchvision's names.

    A ``state_dict`` inside is used; the prefixes that a wrapper or a LightningModule puts before every name are taken
    off; a last layer ``classifier.0`` and the names of 2017 (``norm.1``) become today's.

    Raises:
        ValueError: If there are none.
    """
    state = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    named = state.items() if isinstance(state, Mapping) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"Expected tensors in '{path}' but it holds none. Save a state_dict.")
    ours = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    return {_current(name): value for name, value in _without_prefix(ours or tensors).items()}


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what all of them begin with, such as ``module.densenet121.``."""
    while True:
        prefixes = {name.partition(".")[0] for name in tensors}
        if len(prefixes) != 1 or not all("." in name for name in tensors) or prefixes <= {"features", "classifier"}:
            return tensors
        start = len(prefixes.pop()) + 1
        tensors = {name[start:]: value for name, value in tensors.items()}


def load_safely(path: str) -> Any:  # noqa: ANN401  # whatever plain values the file holds
    """A PyTorch file's content, loaded without running code from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, is no PyTorch file, or holds more than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file raises almost anything: IndexError, AssertionError, struct.error, ...
        raise ValueError(
            f"Expected tensors in '{path}' but it cannot be loaded safely ({first_line(error)}). Save a state_dict."
        ) from error


def first_line(error: Exception) -> str:
    """What an exception says first; its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _current(name: str) -> str:
    """A tensor's name as torchvision has it today, where published DenseNet files have another one."""
    name = re.sub(r"^classifier\.0\.", "classifier.", name)
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)
