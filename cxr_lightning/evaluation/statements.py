"""Facts that a report puts into sentences: a code and its values. ``report/wording.py`` holds the sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Statement:
    """A fact for readers.

    Attributes:
        code: What is stated, such as ``few_images``; a key of ``cxr_lightning.report.wording.SENTENCES``.
        values: Numbers and names in it.
    """

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)


def statement(code: str, **values: Any) -> Statement:  # noqa: ANN401  # whatever the sentence names
    """A statement with these values."""
    return Statement(code, values)
