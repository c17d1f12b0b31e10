"""Content of a foreign weight file, as tensors with torchvision's names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cxr_lightning.labels import WALKTHROUGH_LABELS
from cxr_lightning.models.backbones.densenet import DENSENET_BLOCKS


@dataclass(frozen=True)
class ForeignWeights:
    """The tensors of a network, and what its file states about the network.

    Attributes:
        state: All tensors of the file, each once, by their names in torchvision.
        blocks: Number of dense layers in each dense block; empty if the network is no DenseNet.
        num_outputs: Number of outputs of the last layer; None if the file has no last layer.
        batch_norm_epsilon: Epsilon of the batch normalizations.
        final_relu: Whether an activation follows the last batch normalization.
        labels: Findings in output order; None where the file does not name them.
        format: Description of the file format, for people.
        decisions: What was decided about the network and why, each a phrase for people.
        from_keras: Whether Keras wrote the file.
        head_name: Name of the last layer; empty where the file has none.
    """

    state: Mapping[str, Tensor]
    blocks: tuple[int, ...]
    num_outputs: int | None
    batch_norm_epsilon: float
    final_relu: bool
    labels: tuple[str, ...] | None
    format: str
    decisions: tuple[str, ...]
    from_keras: bool = False
    head_name: str = ""

    @property
    def walkthrough(self) -> bool:
        """Whether it looks like the Keras walk-through's network: 14 outputs of a layer with Keras' default name."""
        default_name = re.fullmatch(r"(dense(_\d+)?)?", self.head_name) is not None
        return self.from_keras and self.num_outputs == len(WALKTHROUGH_LABELS) and default_name

    @property
    def num_parameters(self) -> int:
        """Number of elements in all tensors, batch-norm statistics included, as Keras counts parameters."""
        return sum(tensor.numel() for tensor in self.state.values())

    def backbone_name(self, path: Path) -> str:
        """Name of the network, identified by the sizes of its dense blocks.

        Args:
            path: The file, for the message.

        Raises:
            ValueError: If it is not a supported network.
        """
        for name, blocks in DENSENET_BLOCKS.items():
            if blocks == self.blocks:
                return name
        found = f"its blocks have {list(self.blocks)} layers" if self.blocks else "it has no blocks of a DenseNet"
        raise ValueError(
            f"Expected a network among {list(DENSENET_BLOCKS)} in '{path}' but {found}. Give weights of one of these."
        )


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that would make every prediction meaningless.

    Raises:
        ValueError: If a number is not finite, or a variance is negative.
    """
    wrong = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    wrong += [name for name, tensor in state.items() if name.endswith("running_var") and (tensor < 0).any()]
    if wrong:
        raise ValueError(
            f"Expected finite weights in '{path}' but {len(wrong)} tensors hold NaN, infinity or a negative variance: "
            f"{_first_names(wrong)}. Download or save it again."
        )


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
