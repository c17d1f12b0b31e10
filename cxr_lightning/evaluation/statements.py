"""Statements of an evaluation: a code and its values. ``report/wording.py`` holds the sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Statement:
    """A fact that a report puts into a sentence.

    Attributes:
        code: Code of the fact, such as ``few_images``; a key of ``cxr_lightning.report.wording.SENTENCES``.
        values: Numbers and names that the sentence contains.
    """

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)


def statement(code: str, **values: Any) -> Statement:  # noqa: ANN401  # any value that a sentence contains
    """Make a statement from a code and its values."""
    return Statement(code, values)
