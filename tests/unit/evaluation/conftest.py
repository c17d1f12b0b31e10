"""Predictions made by hand or at random, with the table they are of."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from cxr_lightning.inference.predictions import Predictions, predictions_of

Draw = Callable[..., tuple[Predictions, pd.DataFrame]]


def draw_predictions(
    seed: int = 0,
    patients: int = 60,
    labels: tuple[str, ...] = ("Mass", "Edema", "Hernia"),
    *,
    strength: float = 1.5,
    unknown: float = 0.0,
) -> tuple[Predictions, pd.DataFrame]:
    """Two images a patient; sex, age and view at random; the model knows each label a little."""
    generator = np.random.default_rng(seed)
    size = 2 * patients
    names = np.repeat(np.arange(patients), 2)
    table = pd.DataFrame(
        {
            "image_id": [f"{name:05d}_{visit}.png" for visit, name in zip([0, 1] * patients, names, strict=True)],
            "patient_id": names.astype(str),
            "path": None,
            "split": "test",
            "view_position": generator.choice(["PA", "AP"], size),
            "sex": np.array(["F", "M"])[generator.integers(2, size=patients)][names],
            "age": generator.integers(1, 95, patients)[names].astype(float),
        }
    )
    logits = np.empty((size, len(labels)))
    for column, label in enumerate(labels):
        targets = (generator.random(size) < 0.3).astype(np.float32)
        logits[:, column] = generator.normal(-1, 1, size) + strength * targets
        targets[generator.random(size) < unknown] = math.nan
        table[label] = targets
    return predictions_of(table, labels, 1 / (1 + np.exp(-logits))), table


@pytest.fixture
def draw() -> Draw:
    """:func:`draw_predictions`."""
    return draw_predictions
