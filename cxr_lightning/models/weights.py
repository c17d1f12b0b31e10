"""Initial weights of a network: ImageNet weights, which are downloaded, or given tensors."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from cxr_lightning.models.backbones import head_name
from cxr_lightning.utils.torch_io import first_line

logger = logging.getLogger(__name__)

IMAGENET = "imagenet"
"""Value of `model.weights` for torchvision's ImageNet weights."""


def load_initial_weights(network: nn.Module, backbone: str, weights: str | Mapping[str, Tensor] | None) -> None:
    """Load the weights that training starts from into a network.

    All tensors but those of the last linear layer must fit; that layer is loaded if it fits and stays random otherwise,
    which is logged.

    Args:
        network: A network from :func:`~cxr_lightning.models.backbones.build_backbone`.
        backbone: Name of the network.
        weights: None (random), ``imagenet``, or tensors in torchvision's names, such as those that
            ``cxr_lightning.checkpoints.state_dict.read_state`` reads from a file.

    Raises:
        ConnectionError: If ImageNet weights cannot be downloaded.
        ValueError: If the weights do not fit, or are none of these.
    """
    if weights is None:
        return
    if isinstance(weights, Mapping):
        _load_state(network, head_name(backbone), dict(weights), "the given tensors")
    elif weights == IMAGENET:
        _load_state(network, head_name(backbone), _download(backbone), IMAGENET)
    else:
        raise ValueError(
            f"Expected None, '{IMAGENET}' or tensors as the network's weights but got {weights!r}. "
            "Read a file with cxr_lightning.checkpoints.state_dict.read_state."
        )


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


def _load_state(network: nn.Module, head: str, state: dict[str, Tensor], source: str) -> None:
    expected = network.state_dict()
    head_keys = {f"{head}.weight", f"{head}.bias"}
    new_head = _is_other_head({key: value for key, value in state.items() if key in head_keys}, expected, head)
    names = set(expected) - head_keys if new_head else set(expected)
    used = {key: value for key, value in state.items() if not (new_head and key in head_keys)}
    # Batch normalization counts its batches only since 2018; nothing here uses the count.
    missing = sorted(key for key in names - set(used) if not key.endswith(".num_batches_tracked"))
    extra = sorted(set(used) - names)
    shapes = sorted(key for key in names & set(used) if expected[key].shape != used[key].shape)
    if missing or extra or shapes:
        raise ValueError(
            f"Expected the weights '{source}' to fit the network but {len(missing)} tensors are missing {missing[:5]}, "
            f"{len(extra)} are not its own {extra[:5]} and {len(shapes)} have another shape {shapes[:5]}. "
            "Set `model.backbone` to the network that the weights are of."
        )
    network.load_state_dict(used, strict=False)
    logger.info("weights from %s: %d tensors; the last layer is %s", source, len(used), "new" if new_head else "theirs")


def _is_other_head(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], head: str) -> bool:
    """Whether the weights have no last layer, or a complete one with another number of outputs."""
    if not tensors:
        return True
    weight, bias = tensors.get(f"{head}.weight"), tensors.get(f"{head}.bias")
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        return False  # an incomplete layer does not fit, and is refused
    return weight.shape[1] == expected[f"{head}.weight"].shape[1] and len(weight) != len(expected[f"{head}.weight"])
