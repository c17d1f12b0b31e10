"""Rules of an optimization's settings: the training checks them, and so does the configuration's check before.

It imports nothing heavy, so that a wrong setting is found at once.
"""

import math
from collections.abc import Collection
from typing import Literal

from cxr_lightning.utils.suggestions import did_you_mean

BACKBONE_NAMES = (
    *("densenet121", "densenet169", "densenet201", "densenet_micro"),
    *("resnet50", "efficientnet_v2_s", "efficientnet_v2_m", "convnext_tiny", "convnext_small", "convnext_base"),
    *("swin_v2_t", "swin_v2_s"),
)
"""Names of the backbones of this package."""
TargetLayer = Literal["post_relu", "pre_relu"]
"""The layer of the last feature maps: after the final activation, or before it as in the Keras walk-through."""
STEPS_ARGUMENT = "total_steps"
"""The argument by which a schedule takes the number of steps."""


def backbone_problem(name: str, setting: str = "`model.backbone`") -> str | None:
    """Describe why a name is that of no backbone.

    Args:
        name: One of ``BACKBONE_NAMES``, or a dotted name.
        setting: The setting or file that names it.

    Returns:
        None if it is one, or a dotted name, which only an import can tell.
    """
    if name in BACKBONE_NAMES or "." in name:
        return None
    return (
        f"Expected {setting} to be one of {list(BACKBONE_NAMES)} or the dotted name of your own but got {name!r}. "
        f"{did_you_mean(name, BACKBONE_NAMES) or 'Correct the name.'}"
    )


def length_problem(arguments: Collection[str], steps: float) -> str | None:
    """Describe why a schedule cannot be made for a run without an end.

    Args:
        arguments: Names of the arguments that the schedule takes.
        steps: Number of steps of the run; infinite for one without an end.

    Returns:
        None if it can be made.
    """
    if STEPS_ARGUMENT not in arguments or math.isfinite(steps):
        return None
    return (
        "Expected a run of known length with this `scheduler`, which takes the number of steps, but "
        "`trainer.max_epochs` is -1. Set it, or '+trainer.max_steps=NUMBER', or use 'scheduler=plateau'."
    )


def clipping_problem(*, is_fused: bool, scales_gradients: bool) -> str | None:
    """Describe why gradients cannot be clipped: a fused optimizer unscales them only within its step.

    Args:
        is_fused: Whether the optimizer is fused.
        scales_gradients: Whether the gradients are scaled, as in float16.

    Returns:
        None if they can be clipped.
    """
    if not (is_fused and scales_gradients):
        return None
    return (
        "Expected an optimizer that is not fused for gradient clipping in float16. Set 'optimizer.fused=false', or "
        "'trainer.precision=bf16-mixed'."
    )
