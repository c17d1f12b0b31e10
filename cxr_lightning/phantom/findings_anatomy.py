"""Changes of the chest's measures by findings, applied before anything is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cxr_lightning.phantom.anatomy import SIDES, Anatomy

_AnatomyChange = Callable[[Anatomy, np.random.Generator], Anatomy]


def pick_side(generator: np.random.Generator) -> int:
    """Draw the side of a finding; as a finding's first draw it is the same for its anatomy and its painter."""
    return SIDES[int(generator.integers(2))]


def _atelectasis(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Lose volume: the dome rises and the heart shifts towards it."""
    side = pick_side(generator)
    raised = anatomy.with_dome_moved(side, -generator.uniform(0.01, 0.05))
    return replace(raised, heart_shift=raised.heart_shift + side * generator.uniform(0.005, 0.025))


def _cardiomegaly(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    return replace(anatomy, heart_ratio=generator.uniform(0.55, 0.67))


def _emphysema(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Add air: low flat domes, a narrow heart, thin vessels."""
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
    """Shrink both lungs: the domes rise."""
    raised = generator.uniform(0.01, 0.045)
    return replace(anatomy, right_dome=anatomy.right_dome - raised, left_dome=anatomy.left_dome - raised)


def _edema(anatomy: Anatomy, generator: np.random.Generator) -> Anatomy:
    """Widen the vessels, and the heart a little."""
    return replace(
        anatomy,
        vessels=anatomy.vessels * generator.uniform(1.3, 1.8),
        heart_ratio=anatomy.heart_ratio if anatomy.heart_ratio > 0.5 else min(anatomy.heart_ratio + 0.015, 0.495),
    )


ANATOMY_CHANGES: Mapping[str, _AnatomyChange] = {
    "Atelectasis": _atelectasis,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Edema": _edema,
    "Cardiomegaly": _cardiomegaly,
}
"""Changes by label, in the order in which they are applied when several findings are present."""
