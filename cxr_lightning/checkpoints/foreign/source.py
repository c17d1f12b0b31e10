"""What a foreign file holds, in our terms."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cxr_lightning.labels import WALKTHROUGH_LABELS

BLOCKS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)}
"""Dense layers in each block."""


@dataclass(frozen=True)
class Source:
    """A network's tensors, and what is known of the network.

    Attributes:
        state: Tensors in torchvision's names; all of the file's, each once.
        blocks: Dense layers in each block; empty if it is no DenseNet.
        outputs: Of the last layer; None if the file has none.
        batch_norm_epsilon: Of its batch normalisations.
        final_relu: Whether an activation follows the last of them.
        labels: Findings in output order; None where the file does not name them.
        format: Of the file, in words.
        decisions: What was decided, and why, in words.
        keras: Whether it is from Keras.
        head: Name of the last layer; empty where the file has none.
    """

    state: Mapping[str, Tensor]
    blocks: tuple[int, ...]
    outputs: int | None
    batch_norm_epsilon: float
    final_relu: bool
    labels: tuple[str, ...] | None
    format: str
    decisions: tuple[str, ...]
    keras: bool = False
    head: str = ""

    @property
    def walkthrough(self) -> bool:
        """Whether it looks like the Keras walk-through's: 14 outputs of a layer with the name that Keras gives."""
        own_name = re.fullmatch(r"(dense(_\d+)?)?", self.head) is not None
        return self.keras and self.outputs == len(WALKTHROUGH_LABELS) and own_name

    @property
    def parameters(self) -> int:
        """Numbers in all tensors, batch-norm statistics included, as Keras counts them."""
        return sum(tensor.numel() for tensor in self.state.values())

    def backbone(self, path: Path) -> str:
        """The network's name.

        Raises:
            ValueError: If it is none that is known.
        """
        for name, blocks in BLOCKS.items():
            if blocks == self.blocks:
                return name
        raise ValueError(
            f"Expected a network among {list(BLOCKS)} in '{path}' but its blocks have {list(self.blocks)} layers."
        )


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that would spoil every prediction.

    Raises:
        ValueError: If a number is not finite, or a variance is negative.
    """
    wrong = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    wrong += [name for name, tensor in state.items() if name.endswith("running_var") and (tensor < 0).any()]
    if wrong:
        raise ValueError(
            f"Expected finite weights in '{path}' but {len(wrong)} tensors hold NaN, infinity or a negative variance: "
            f"{_first(wrong)}. Download or save it again."
        )


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
