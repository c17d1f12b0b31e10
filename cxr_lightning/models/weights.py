"""Weights that a network starts from: ImageNet's by download, or a PyTorch file."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from cxr_lightning.models.backbones import head_name
from cxr_lightning.utils.torch_io import IMAGENET, first_line, read_state

logger = logging.getLogger(__name__)


def load_initial_weights(network: nn.Module, backbone: str, weights: str | Mapping[str, Tensor] | None) -> None:
    """Fill a network with the weights that training starts from.

    Everything but the last linear layer must fit; that layer is taken over if it fits and is new otherwise,
    which is logged.

    Args:
        network: Made by :func:`~cxr_lightning.models.backbones.build_backbone`.
        backbone: Its name.
        weights: None (leave it random), ``imagenet``, the path of a ``.ckpt``, ``.pt`` or ``.pth`` file, or the tensors
            themselves, in torchvision's names.

    Raises:
        ConnectionError: If ImageNet weights cannot be downloaded.
        FileNotFoundError: If there is no such file.
        ValueError: If the weights do not fit, or the file holds none or is of another kind.
    """
    if weights is None:
        return
    if isinstance(weights, Mapping):
        _fill(network, head_name(backbone), dict(weights), "the given tensors")
    else:
        state = _download(backbone) if weights == IMAGENET else read_state(weights)
        _fill(network, head_name(backbone), state, weights)


def _download(backbone: str) -> dict[str, Tensor]:
    if backbone not in torchvision.models.list_models():
        raise ValueError(f"Expected a backbone with ImageNet weights but got {backbone!r}. Set 'model.weights=null'.")
    enum = torchvision.models.get_model_weights(backbone).DEFAULT
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        state: dict[str, Tensor] = torchvision.models.get_model(backbone, weights=enum).state_dict()
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:  # no network; or a damaged file
        raise ConnectionError(
            f"Expected ImageNet weights of {backbone} from {enum.url} but the download failed ({first_line(error)}). "
            f"Put that file into '{folder}', name a file in `model.weights`, or set 'model.weights=null' (random)."
        ) from error
    return state


def _fill(network: nn.Module, head: str, state: dict[str, Tensor], origin: str) -> None:
    own = network.state_dict()
    head_keys = {f"{head}.weight", f"{head}.bias"}
    new_head = _is_other_head({key: value for key, value in state.items() if key in head_keys}, own, head)
    expected = set(own) - head_keys if new_head else set(own)
    given = {key: value for key, value in state.items() if not (new_head and key in head_keys)}
    # Batch normalisation counts its batches only since 2018; nothing here uses the count.
    missing = sorted(key for key in expected - set(given) if not key.endswith(".num_batches_tracked"))
    extra = sorted(set(given) - expected)
    shapes = sorted(key for key in expected & set(given) if own[key].shape != given[key].shape)
    if missing or extra or shapes:
        raise ValueError(
            f"Expected the weights '{origin}' to fit the network but {len(missing)} tensors are missing {missing[:5]}, "
            f"{len(extra)} are not its own {extra[:5]} and {len(shapes)} have another shape {shapes[:5]}. "
            "Set `model.backbone` to the network that the weights are of."
        )
    network.load_state_dict(given, strict=False)
    logger.info(
        "weights from %s: %d tensors; the last layer is %s", origin, len(given), "new" if new_head else "theirs"
    )


def _is_other_head(given: Mapping[str, Tensor], own: Mapping[str, Tensor], head: str) -> bool:
    """Whether there is no last layer, or a whole one with another number of outputs."""
    if not given:
        return True
    weight, bias = given.get(f"{head}.weight"), given.get(f"{head}.bias")
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        return False  # a part of one: it does not fit, and is refused
    return weight.shape[1] == own[f"{head}.weight"].shape[1] and len(weight) != len(own[f"{head}.weight"])
