"""What findings do to the chest's measures, before anything is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cxr_lightning.phantom.anatomy import SIDES, Anatomy

Reshape = Callable[[Anatomy, np.random.Generator], Anatomy]


def pick_side(generator: np.random.Generator) -> int:
    """The side a finding lies on. Always a finding's first draw, so that its shape and its picture agree."""
    return SIDES[int(generator.integers(2))]


def _atelectasis(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Lost volume: the dome rises and the heart moves over."""
    side = pick_side(generator)
    raised = anatomy.with_dome(side, -generator.uniform(0.01, 0.05))
    return replace(raised, heart_shift=raised.heart_shift + side * generator.uniform(0.005, 0.025))


def _cardiomegaly(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    return replace(anatomy, heart_ratio=generator.uniform(0.55, 0.67))


def _emphysema(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Too much air: low flat domes, a narrow heart, thin vessels."""
    lower = generator.uniform(0.01, 0.05)
    return replace(
        anatomy,
        right_dome=max(anatomy.right_dome + lower, 0.705),
        left_dome=max(anatomy.left_dome + lower, 0.715),
        dome_depth=generator.uniform(0.025, 0.045),
        heart_ratio=anatomy.heart_ratio * generator.uniform(0.80, 0.93),
        air=anatomy.air * generator.uniform(1.03, 1.12),
        vessels=anatomy.vessels * generator.uniform(0.15, 0.4),
    )


def _fibrosis(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Stiff small lungs."""
    raised = generator.uniform(0.01, 0.045)
    return replace(anatomy, right_dome=anatomy.right_dome - raised, left_dome=anatomy.left_dome - raised)


def _edema(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Full vessels and a somewhat wider heart."""
    return replace(
        anatomy,
        vessels=anatomy.vessels * generator.uniform(1.3, 1.8),
        heart_ratio=anatomy.heart_ratio if anatomy.heart_ratio > 0.5 else min(anatomy.heart_ratio + 0.015, 0.495),
    )


RESHAPES: Mapping[str, Reshape] = {
    "Atelectasis": _atelectasis,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Edema": _edema,
    "Cardiomegaly": _cardiomegaly,
}
"""In the order in which they are applied when several are present."""
