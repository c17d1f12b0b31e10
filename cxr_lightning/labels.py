"""Finding names, their order, and how label files spell them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from cxr_lightning.utils.plain_text import hidden_characters, shorten, visible

NIH_LABELS: tuple[str, ...] = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
"""The 14 findings of NIH ChestX-ray14, in alphabetical order."""

WALKTHROUGH_LABELS: tuple[str, ...] = (
    "Cardiomegaly",
    "Emphysema",
    "Effusion",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Atelectasis",
    "Pneumothorax",
    "Pleural_Thickening",
    "Pneumonia",
    "Fibrosis",
    "Edema",
    "Consolidation",
)
"""The same findings in the order of the Keras walk-through's output units."""

UncertainMeaning = Literal["ignore", "zeros", "ones"]
"""What a label that a file states as uncertain is taken for: nothing that is known, absent, or present."""

_MEANINGS = {"ignore": "unknown", "zeros": "absent", "ones": "present"}

NO_FINDING = "No Finding"
MAX_LABELS = 1_000
"""Maximum number of labels; PadChest, with the most of the known data sets, has 193."""
MAX_LABEL_LETTERS = 200
_SEPARATOR = "|"
BOX_LIST_SPELLING = {"Infiltrate": "Infiltration"}
"""Finding names of NIH's box list that differ from those of its label file, and the latter."""


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Check that labels are usable as ordered output names, and return them as a tuple.

    Args:
        labels: Finding names in output order.

    Raises:
        ValueError: If the labels are one string, none or too many, or a label is empty, not a string, too long,
            duplicated, or has characters that do not show themselves.
    """
    if isinstance(labels, str):  # a string is a sequence too: of its characters
        text = shorten(labels)
        raise ValueError(f"Expected a list of labels but got the text '{text}'. Write `labels` as [{text}].")
    if len(labels) > MAX_LABELS:
        raise ValueError(f"Expected at most {MAX_LABELS:,} labels but got {len(labels):,}. Name fewer in `labels`.")
    names = tuple(labels)
    if not names:
        raise ValueError("Expected at least one label but got none. Name the findings in `labels`.")
    if long := [name for name in names if isinstance(name, str) and len(name) > MAX_LABEL_LETTERS]:
        raise ValueError(
            f"Expected labels of at most {MAX_LABEL_LETTERS} characters but got one of {len(long[0]):,}, "
            f"'{shorten(long[0])}'. Shorten it in `labels`."
        )
    invalid = [name for name in names if not isinstance(name, str) or not name.strip()]
    if invalid:
        raise ValueError(f"Expected every label to be a non-empty name but got {invalid[:5]}. Correct `labels`.")
    if hidden := [f"'{visible(name)}'" for name in names if hidden_characters(name)]:
        shown = ", ".join(hidden[:5])
        raise ValueError(f"Expected labels without control or invisible characters but got {shown}. Rename them.")
    duplicated = sorted(name for name, count in Counter(names).items() if count > 1)
    if duplicated:
        raise ValueError(f"Expected every label once but got {duplicated[:5]} more than once. Correct `labels`.")
    return names


def nih_finding(name: str) -> str:
    """NIH's spelling of a finding that differs from it in letter case, blanks, hyphens or underscores alone.

    Example:
        >>> nih_finding("Pleural Thickening"), nih_finding("No finding"), nih_finding("Maas")
        ('Pleural_Thickening', 'No Finding', 'Maas')
    """
    return _NIH_SPELLINGS.get(_letters(name), name)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")


_NIH_SPELLINGS = {_letters(name): name for name in (*NIH_LABELS, NO_FINDING)}


def split_findings(text: str) -> list[str]:
    """The names in one ``Finding Labels`` cell, known or not, ``No Finding`` among them.

    The cell is split at ``|``, never searched: one finding's name may contain another's.

    Args:
        text: Content of the cell, such as ``"Effusion|Mass"`` or ``"No Finding"``.

    Example:
        >>> split_findings("Effusion | Maas")
        ['Effusion', 'Maas']
    """
    return [name.strip() for name in text.split(_SEPARATOR)]


def encode_findings(findings: Iterable[str]) -> str:
    """Compose one ``Finding Labels`` cell; the inverse of :func:`split_findings`.

    Example:
        >>> encode_findings(["Mass", "Effusion"])
        'Effusion|Mass'
        >>> encode_findings([])
        'No Finding'
    """
    return _SEPARATOR.join(sorted(findings)) or NO_FINDING


def describe_uncertain(uncertain: Mapping[str, tuple[int, str]]) -> str:
    """The number of uncertain labels of each finding, and what they were taken for.

    Args:
        uncertain: Number of images and an ``UncertainMeaning``, by label.

    Example:
        >>> describe_uncertain({"Edema": (12, "zeros"), "Mass": (3, "zeros")})
        'Edema 12, Mass 3; taken as absent'
        >>> describe_uncertain({"Edema": (12, "zeros"), "Mass": (3, "ones")})
        'Edema 12, taken as absent; Mass 3, taken as present'
    """
    meanings = {meaning for _, meaning in uncertain.values()}
    if len(meanings) == 1:
        counts = ", ".join(f"{label} {count:,}" for label, (count, _) in uncertain.items())
        return f"{counts}; taken as {_MEANINGS[meanings.pop()]}"
    return "; ".join(
        f"{label} {count:,}, taken as {_MEANINGS[meaning]}" for label, (count, meaning) in uncertain.items()
    )
