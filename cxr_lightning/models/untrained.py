"""Labels that a model was not trained on: what the network computes for them means nothing, so it is undefined (NaN).

A label is one of these if the training images lack positives or negatives of it; the metadata list them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cxr_lightning.metrics.ranking import FloatArray

UNTRAINED_KEY = "untrained_labels"
"""Key of the labels in the metadata; absent in files of earlier versions."""


def untrained_among(labels: Sequence[str], metadata: Mapping[str, Any]) -> list[str]:
    """Those of some labels that a model was not trained on.

    Args:
        labels: Some labels, in any order.
        metadata: The model's metadata.
    """
    untrained = metadata.get(UNTRAINED_KEY, ())
    return [label for label in labels if label in untrained]


def untrained_columns(labels: Sequence[str], metadata: Mapping[str, Any]) -> list[int]:
    """Columns of the labels that a model was not trained on.

    Args:
        labels: The model's labels, in output order.
        metadata: The model's metadata.
    """
    untrained = untrained_among(labels, metadata)
    return [column for column, label in enumerate(labels) if label in untrained]


def without_untrained(probabilities: FloatArray, columns: Sequence[int]) -> FloatArray:
    """Probabilities with NaN in some columns, ``(N, C)``.

    Args:
        probabilities: ``(N, C)``.
        columns: From :func:`untrained_columns`.

    Example:
        >>> without_untrained(np.array([[0.25, 0.5]]), [1])
        array([[0.25,  nan]])
    """
    undefined: FloatArray = np.where(np.isin(np.arange(probabilities.shape[1]), columns), math.nan, probabilities)
    return undefined
