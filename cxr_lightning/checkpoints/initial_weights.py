"""Weights in a file, ours or foreign, to start training from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from cxr_lightning.checkpoints.foreign.weights import DENSENET_BLOCKS, ForeignWeights, check_finite
from cxr_lightning.checkpoints.load import read_checkpoint
from cxr_lightning.data.manifest import file_sha256
from cxr_lightning.labels import WALKTHROUGH_LABELS
from cxr_lightning.models.backbones import TORCHVISION_BATCH_NORM_EPSILON, head_name
from cxr_lightning.utils.torch_io import RECORD_KEY, check_weights_path, exported_text, load_safely, named_tensors


@dataclass(frozen=True)
class Initial:
    """What training starts from.

    Attributes:
        state: Tensors of the network, its outputs in the order of the labels that are trained; without the last layer
            where its outputs are not known to be these labels.
        variations: ``batch_norm_epsilon`` and ``final_relu`` of the network that they are of.
        source: File, sha256 and what was decided, for the record.
    """

    state: dict[str, Tensor]
    variations: dict[str, Any]
    source: dict[str, Any]


def read_initial(path: str, backbone: str, labels: Sequence[str]) -> Initial:
    """The weights in a file, ours or foreign, to start training from.

    Args:
        path: The file.
        backbone: Of the network that is trained.
        labels: That are trained, in output order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or is of another DenseNet.
    """
    check_weights_path(path)
    source, known = _own(path) if _is_own(path) else (read_foreign_weights(path), None)
    found = next((name for name, blocks in DENSENET_BLOCKS.items() if blocks == source.blocks), backbone)
    if found != backbone:
        raise ValueError(f"Expected weights of {backbone} in '{path}' but they are of {found}. Set 'model={found}'.")
    known = known or source.labels or (WALKTHROUGH_LABELS if source.walkthrough else None)
    state, words = _ordered_head(dict(source.state), known, labels, head_name(backbone))
    decisions = [*source.decisions, words]
    variations = {"batch_norm_epsilon": source.batch_norm_epsilon, "final_relu": source.final_relu}
    record = {"file": path, "sha256": file_sha256(Path(path)), "format": source.format, "decisions": decisions}
    return Initial(state, variations if backbone.startswith("densenet") else {}, record)


def _is_own(path: str) -> bool:
    if exported_text(path) is not None:
        return True
    if Path(path).suffix not in (".ckpt", ".pt", ".pth"):
        return False
    content = load_safely(path)
    return isinstance(content, dict) and RECORD_KEY in content


def _own(path: str) -> tuple[ForeignWeights, tuple[str, ...]]:
    """Our own checkpoint as a source, and its labels."""
    content = read_checkpoint(path)
    settings = content["hyper_parameters"]
    epsilon, relu = settings.get("batch_norm_epsilon", TORCHVISION_BATCH_NORM_EPSILON), settings.get("final_relu", True)
    state = named_tensors(content, path)
    check_finite(state, Path(path))
    prepared = f"{settings['preprocessing']}, {settings['image_size']} px, {settings['interpolation']}"
    words = (f"batch-norm epsilon {epsilon:g}, final ReLU {relu}", f"it was trained on images prepared as {prepared}")
    source = ForeignWeights(state, (), None, epsilon, relu, None, "a checkpoint of cxr_lightning", words)
    return source, tuple(settings["labels"])


def _ordered_head(
    state: dict[str, Tensor], known: Sequence[str] | None, labels: Sequence[str], head: str
) -> tuple[dict[str, Tensor], str]:
    """The last layer's outputs in the order of the labels; none where they are not known to be these."""
    names = [name for name in state if name.startswith(f"{head}.")]
    if known is None or set(known) != set(labels) or not names:
        why = "there is none" if not names else "its labels are not known" if known is None else "its labels are others"
        return {name: tensor for name, tensor in state.items() if name not in names}, f"the last layer is new: {why}"
    order = [list(known).index(label) for label in labels]
    return state | {name: state[name][order] for name in names}, "the last layer is theirs, in the order of the labels"
