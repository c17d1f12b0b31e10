"""Initial weights of a training, from a file of this package or a foreign one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights, check_finite
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from cxr_lightning.checkpoints.metadata import exported_description
from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.checkpoints.state_dict import check_weights_path, named_tensors
from cxr_lightning.labels import WALKTHROUGH_LABELS
from cxr_lightning.models.backbones.densenet import DENSENET_BLOCKS, TORCHVISION_BATCH_NORM_EPSILON
from cxr_lightning.models.backbones.registry import find_backbone
from cxr_lightning.utils.file_names import METADATA_KEY
from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.torch_io import load_safely


@dataclass(frozen=True)
class InitialWeights:
    """The weights with which training starts.

    Attributes:
        state: Tensors of the network, its outputs in the order of the labels that are trained; without the last layer
            where its outputs are not known to be these labels.
        variations: Variations of the network in the file that its backbone takes.
        source: File, sha256, format and decisions, for the metadata.
    """

    state: dict[str, Tensor]
    variations: dict[str, Any]
    source: dict[str, Any]


def read_initial_weights(path: str, backbone: str, labels: Sequence[str]) -> InitialWeights:
    """Read initial weights from a file of this package or a foreign one.

    Args:
        path: The file.
        backbone: Name of the backbone that is trained.
        labels: Labels that are trained, in output order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or is of another DenseNet.
    """
    check_weights_path(path)
    source, file_labels = _read_package_file(path) if _is_package_file(path) else (read_foreign_weights(path), None)
    file_backbone = next((name for name, blocks in DENSENET_BLOCKS.items() if blocks == source.blocks), backbone)
    if file_backbone != backbone:
        raise ValueError(
            f"Expected weights of {backbone} in '{path}' but they are of {file_backbone}. Set 'model={file_backbone}'."
        )
    file_labels = file_labels or source.labels or (WALKTHROUGH_LABELS if source.walkthrough else None)
    architecture = find_backbone(backbone)
    state, decision = _ordered_head(source.state, file_labels, labels, architecture.head_name)
    decisions = [*source.decisions, decision]
    variations = {"batch_norm_epsilon": source.batch_norm_epsilon, "final_relu": source.final_relu}
    taken = {name: value for name, value in variations.items() if name in (architecture.variations or ())}
    record = {"file": path, "sha256": file_sha256(Path(path)), "format": source.format, "decisions": decisions}
    return InitialWeights(state, taken, record)


def _is_package_file(path: str) -> bool:
    if exported_description(path) is not None:
        return True
    if Path(path).suffix not in (".ckpt", ".pt", ".pth"):
        return False
    content = load_safely(path)
    return isinstance(content, dict) and METADATA_KEY in content


def _read_package_file(path: str) -> tuple[ForeignWeights, tuple[str, ...]]:
    """The weights in a file of this package, and its labels."""
    content = read_checkpoint(path)
    settings = content["hyper_parameters"]
    epsilon, relu = settings.get("batch_norm_epsilon", TORCHVISION_BATCH_NORM_EPSILON), settings.get("final_relu", True)
    state = named_tensors(content, path)
    check_finite(state, Path(path))
    prepared = f"{settings['preprocessing']}, {settings['image_size']} px, {settings['interpolation']}"
    decisions = (
        f"batch-norm epsilon {epsilon:g}, final ReLU {relu}",
        f"it was trained on images prepared as {prepared}",
    )
    source = ForeignWeights(state, (), None, epsilon, relu, None, "a checkpoint of cxr_lightning", decisions)
    return source, tuple(settings["labels"])


def _ordered_head(
    state: Mapping[str, Tensor], file_labels: Sequence[str] | None, labels: Sequence[str], head: str
) -> tuple[dict[str, Tensor], str]:
    """The last layer's outputs in the order of the labels; without it if they are not known to be these."""
    own_head = {name: tensor for name, tensor in state.items() if name.startswith(f"{head}.")}
    if file_labels is None:
        reason = "its labels are not known"
    elif set(file_labels) != set(labels):
        reason = "its labels are others"
    else:
        order = [list(file_labels).index(label) for label in labels]
        ordered = own_head if order == sorted(order) else _with_outputs(own_head, order)
        if ordered:
            return {**state, **ordered}, "the last layer is theirs, in the order of the labels"
        reason = "its labels are in another order, and it is more than one linear layer"
    reason = reason if own_head else "there is none"
    return {name: tensor for name, tensor in state.items() if name not in own_head}, f"the last layer is new: {reason}"


def _with_outputs(head: Mapping[str, Tensor], order: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of a head with its outputs in another order; empty if it is not known which tensors these are."""
    weights = [name for name, tensor in head.items() if tensor.ndim > 1]
    if len(weights) != 1 or len(head[weights[0]]) != len(order):
        return {}
    layer = weights[0].rpartition(".")[0]
    return {name: tensor[order] if name.rpartition(".")[0] == layer else tensor for name, tensor in head.items()}
