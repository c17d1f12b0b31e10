"""PyTorch files, loaded without running code from them, and the names of the tensors in them."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

IMAGENET = "imagenet"
RECORD_KEY = "cxr_lightning"
"""Key of a checkpoint's own entry: format, data, validation AUROC, versions; plain values only. Also of exported files'
metadata."""

MOST_BYTES = 400_000_000
"""Of all tensors in a foreign file; DenseNet-201 has 80 million bytes."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_LONGEST_NAME = 300
_MOST_PREFIXES = 5


def read_state(path: str) -> dict[str, Tensor]:
    """The network's tensors in a PyTorch file; ours, or any state_dict of the same network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, of another kind, or not loadable without running code from it.
    """
    check_weights_path(path)
    if Path(path).suffix not in (".ckpt", ".pt", ".pth"):
        raise ValueError(f"Expected a .ckpt, .pt or .pth file as `model.weights` but got '{path}'.")
    return named_tensors(load_safely(path), path)


def check_weights_path(path: str) -> None:
    """Refuse what is no file, for `model.weights`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL.
    """
    if "://" in path:
        raise ValueError(
            f"Expected a file as `model.weights` but got the URL '{path}'. Download it and check its sha256."
        )
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"Expected null, {IMAGENET} or a weights file as `model.weights` but there is no file '{path}'."
        )


def named_tensors(content: object, path: str) -> dict[str, Tensor]:
    """The network's tensors among whatever a file held, in torchvision's names.

    A ``state_dict`` inside is used; the prefixes that a wrapper or a LightningModule puts before every name are taken
    off; a last layer ``classifier.0`` and the names of 2017 (``norm.1``) become today's.

    Raises:
        ValueError: If there are none.
    """
    holder = content if isinstance(content, Mapping) else {}
    state = next((holder[key] for key in _WRAPPERS if isinstance(holder.get(key), Mapping)), holder)
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"Expected tensors in '{path}' but it holds none. Save a state_dict.")
    _check_plain(tensors, path)
    if RECORD_KEY in holder:  # ours has the loss's and the preprocessing's tensors beside the network's
        tensors = {name: value for name, value in tensors.items() if name.startswith("network.")}
    named: dict[str, Tensor] = {}
    for name, value in _without_prefix(tensors).items():
        if _current(name) in named:
            raise ValueError(f"Expected every tensor once in '{path}' but '{_current(name)}' is there under two names.")
        named[_current(name)] = value
    return named


def _check_plain(tensors: Mapping[str, Tensor], path: str) -> None:
    """Refuse what is no weight: sparse, quantised and complex tensors, and ones that claim more than they hold."""
    total = 0
    for name, tensor in tensors.items():
        counter = name.endswith("num_batches_tracked") and not tensor.is_complex()
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ValueError(f"Expected plain tensors in '{path}' but '{name}' is {tensor.layout}, {tensor.dtype}.")
        if not (tensor.is_floating_point() or counter):
            raise ValueError(f"Expected floating-point tensors in '{path}' but '{name}' is {tensor.dtype}.")
        size = tensor.numel() * tensor.element_size()
        total += size
        if len(name) > _LONGEST_NAME or size > tensor.untyped_storage().nbytes() or total > MOST_BYTES:
            raise ValueError(f"Expected the weights of a network in '{path}' but '{name[:80]}' claims {size:,} bytes.")


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what all of them begin with, such as ``module.densenet121.``."""
    for _ in range(_MOST_PREFIXES):
        prefixes = {name.partition(".")[0] for name in tensors}
        if len(prefixes) != 1 or not all("." in name for name in tensors) or prefixes <= {"features", "classifier"}:
            break
        start = len(prefixes.pop()) + 1
        tensors = {name[start:]: value for name, value in tensors.items()}
    return tensors


def load_safely(path: str) -> Any:  # noqa: ANN401  # whatever plain values the file holds
    """A PyTorch file's content, loaded without running code from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, is no PyTorch file, or holds more than tensors and plain values.
    """
    try:
        _refuse_bomb(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file raises almost anything: IndexError, AssertionError, struct.error, ...
        reason = first_line(error).partition(". ")[0]  # torch goes on to advise loading it unsafely
        raise ValueError(
            f"Expected tensors in '{path}' but it cannot be loaded safely ({reason}). Save a state_dict."
        ) from error


def _refuse_bomb(path: str) -> None:
    """PyTorch's archives are not compressed: one that unpacks to more than it is was made to fill the memory."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > Path(path).stat().st_size:
        raise ValueError(f"it unpacks to {unpacked:,} bytes")


def exported_text(path: str) -> str | None:
    """What a safetensors file that this package exported says of its model, as JSON; None for any other file."""
    if Path(path).suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            text: str | None = (file.metadata() or {}).get(RECORD_KEY)
            return text
    except (SafetensorError, OSError):
        return None


def first_line(error: Exception) -> str:
    """What an exception says first; its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _current(name: str) -> str:
    """A tensor's name as torchvision has it today, where published DenseNet files have another one."""
    name = re.sub(r"^classifier\.0\.", "classifier.", name)
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)
