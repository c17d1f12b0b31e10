"""Weights in a PyTorch file: the network's tensors, by their names in it, whatever else the file holds."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cxr_lightning.models.network import BACKBONE_PREFIX
from cxr_lightning.models.version_0_1 import current_names
from cxr_lightning.models.weights import IMAGENET
from cxr_lightning.utils.file_names import METADATA_KEY
from cxr_lightning.utils.paths import file_problem, refuse_url
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.torch_io import load_safely

MAX_WEIGHT_BYTES = 400_000_000
"""Maximum size of all tensors in a foreign file; DenseNet-201 has 80 million bytes."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_MAX_NAME_LENGTH = 300
_MAX_PREFIXES = 5


def read_state(path: str) -> dict[str, Tensor]:
    """The network's tensors in a PyTorch file: a checkpoint of this package, or any state_dict of the same network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, of another kind, or not loadable without running code from it.
    """
    check_weights_path(path)
    if Path(path).suffix not in (".ckpt", ".pt", ".pth"):
        raise ValueError(f"Expected a .ckpt, .pt or .pth file as `model.weights` but got '{path}'.")
    return named_tensors(load_safely(path), path)


def check_weights_path(path: str) -> None:
    """Refuse a value of `model.weights` that is no local file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL.
    """
    refuse_url(path, "a file as `model.weights`")
    if problem := file_problem(path):
        raise FileNotFoundError(
            f"Expected null, {IMAGENET} or a weights file as `model.weights` but got '{path}': {problem}. Correct it."
        )


def named_tensors(content: object, path: str) -> dict[str, Tensor]:
    """The network's tensors in the content of a file, by their names in the network.

    A checkpoint of this package has these names. In other files a nested ``state_dict`` is used, prefixes that a
    wrapper or a LightningModule puts before every name are removed, and a last layer ``classifier.0`` and the names of
    2017 (``norm.1``) are renamed to torchvision's.

    Raises:
        ValueError: If there are no tensors, or one is not plain or is there under two names.
    """
    container = content if isinstance(content, Mapping) else {}
    state = next((container[key] for key in _WRAPPERS if isinstance(container.get(key), Mapping)), container)
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"Expected tensors in '{path}' but it holds none. Save a state_dict.")
    if METADATA_KEY in container:  # it holds tensors of the loss and the preprocessing too
        tensors = backbone_tensors(current_names(tensors))
        _check_plain(tensors, path)
        return tensors
    _check_plain(tensors, path)
    _check_foreign(tensors, path)
    named: dict[str, Tensor] = {}
    for name, value in _without_prefix(tensors).items():
        if _torchvision_name(name) in named:
            raise ValueError(
                f"Expected every tensor once in '{path}' but '{_torchvision_name(name)}' is there under two names."
            )
        named[_torchvision_name(name)] = value
    return named


def backbone_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's tensors in a checkpoint of this package, by their names in the backbone."""
    return {
        name.removeprefix(BACKBONE_PREFIX): value for name, value in state.items() if name.startswith(BACKBONE_PREFIX)
    }


def _check_plain(tensors: Mapping[str, Tensor], path: str) -> None:
    """Refuse sparse and quantized tensors, and those that claim to be larger than their data."""
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ValueError(f"Expected plain tensors in '{path}' but '{name}' is {tensor.layout}, {tensor.dtype}.")
        if _bytes(tensor) > tensor.untyped_storage().nbytes():
            raise _too_large(name, tensor, path)


def _check_foreign(tensors: Mapping[str, Tensor], path: str) -> None:
    """Refuse tensors that are no weights by their type, and what is too large for a network's."""
    total = 0
    for name, tensor in tensors.items():
        is_counter = name.endswith("num_batches_tracked") and not tensor.is_complex()
        if not (tensor.is_floating_point() or is_counter or tensor.dtype == torch.int64):  # such as Swin's indices
            raise ValueError(f"Expected floating-point tensors in '{path}' but '{name}' is {tensor.dtype}.")
        total += _bytes(tensor)
        if len(name) > _MAX_NAME_LENGTH or total > MAX_WEIGHT_BYTES:
            raise _too_large(name, tensor, path)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _too_large(name: str, tensor: Tensor, path: str) -> ValueError:
    return ValueError(
        f"Expected the weights of a network in '{path}' but '{shorten(name)}' claims {_bytes(tensor):,} bytes."
    )


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefix that all their names have, such as ``module.densenet121.``."""
    for _ in range(_MAX_PREFIXES):
        prefixes = {name.partition(".")[0] for name in tensors}
        if len(prefixes) != 1 or not all("." in name for name in tensors) or prefixes <= {"features", "classifier"}:
            break
        start = len(prefixes.pop()) + 1
        tensors = {name[start:]: value for name, value in tensors.items()}
    return tensors


def _torchvision_name(name: str) -> str:
    """Name of a tensor in torchvision, which differs from that in published DenseNet files."""
    name = re.sub(r"^classifier\.0\.", "classifier.", name)
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)
