"""Initial weights of a network: ImageNet weights, which are downloaded, or given tensors."""

import logging
from collections.abc import Mapping

from torch import Tensor, nn

from cxr_lightning.models.backbones.registry import find_backbone

logger = logging.getLogger(__name__)

IMAGENET = "imagenet"
"""Value of `model.weights` for torchvision's ImageNet weights."""


def load_initial_weights(network: nn.Module, backbone: str, weights: str | Mapping[str, Tensor] | None) -> None:
    """Load the weights that training starts from into a network.

    All tensors but those of the last layer must fit; that layer is loaded if it fits and stays random otherwise, which
    is logged.

    Args:
        network: A network from :func:`~cxr_lightning.models.backbones.registry.build_backbone`.
        backbone: Name of the network.
        weights: None (random), ``imagenet``, or tensors by their names in the network, such as those that
            ``cxr_lightning.checkpoints.state_dict.read_state`` reads from a file.

    Raises:
        ConnectionError: If ImageNet weights cannot be downloaded.
        ValueError: If the weights do not fit, or are none of these.
    """
    if weights is None:
        return
    architecture = find_backbone(backbone)
    if isinstance(weights, Mapping):
        _load_state(network, architecture.head_name, weights, "the given tensors")
    elif weights == IMAGENET:
        if architecture.imagenet is None:
            raise ValueError(
                f"Expected a backbone with ImageNet weights but got {backbone!r}. Set 'model.weights=null'."
            )
        _load_state(network, architecture.head_name, architecture.imagenet(), IMAGENET)
    else:
        raise ValueError(
            f"Expected None, '{IMAGENET}' or tensors as the network's weights but got {weights!r}. "
            "Read a file with cxr_lightning.checkpoints.state_dict.read_state."
        )


def _load_state(network: nn.Module, head: str, state: Mapping[str, Tensor], source: str) -> None:
    expected = network.state_dict()
    own_head, their_head = _within(expected, head), _within(state, head)
    new_head = not their_head or _has_other_outputs(their_head, own_head)
    names = set(expected) - set(own_head) if new_head else set(expected)
    used = {name: value for name, value in state.items() if not (new_head and name in their_head)}
    # Batch normalization counts its batches only since 2018; nothing here uses the count.
    missing = sorted(name for name in names - set(used) if not name.endswith(".num_batches_tracked"))
    extra = sorted(set(used) - names)
    shapes = sorted(name for name in names & set(used) if not _fits(used[name], expected[name]))
    if missing or extra or shapes:
        raise ValueError(
            f"Expected the weights '{source}' to fit the network but {len(missing)} tensors are missing {missing[:5]}, "
            f"{len(extra)} are not its own {extra[:5]} and {len(shapes)} have another shape or type {shapes[:5]}. "
            "Set `model.backbone` to the network that the weights are of."
        )
    network.load_state_dict(used, strict=False)
    logger.info("weights from %s: %d tensors; the last layer is %s", source, len(used), "new" if new_head else "theirs")


def _fits(tensor: Tensor, own: Tensor) -> bool:
    return tensor.shape == own.shape and tensor.is_floating_point() == own.is_floating_point()


def _within(state: Mapping[str, Tensor], module: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name.startswith(f"{module}.")}


def _has_other_outputs(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether a head is whole, and differs from the network's own in its number of outputs alone."""
    if set(theirs) != set(own):
        return False  # an incomplete head does not fit, and is refused
    different = {name for name in own if theirs[name].shape != own[name].shape}
    sizes = {(theirs[name].shape[:1], own[name].shape[:1]) for name in different}
    layers = {name.rpartition(".")[0] for name in different}
    whole_layers = {name for name in own if name.rpartition(".")[0] in layers} == different
    same_inputs = all(theirs[name].shape[1:] == own[name].shape[1:] for name in different)
    return len(sizes) == 1 and whole_layers and same_inputs
