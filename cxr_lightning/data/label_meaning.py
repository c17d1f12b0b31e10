"""Rules of the settings that say what label columns mean. It imports nothing heavy, as :mod:`.setting_rules`."""

from collections.abc import Collection, Mapping, Sequence
from typing import get_args

from cxr_lightning.labels import UncertainMeaning, check_labels
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.suggestions import did_you_mean

_CHOICES: tuple[str, ...] = get_args(UncertainMeaning)


def check_meanings(label_map: Mapping[str, str] | None, uncertain: object) -> None:
    """Refuse a map in which two columns are one finding, and meanings that there are not.

    Args:
        label_map: Findings by column.
        uncertain: What an uncertain label is taken for: one of ``UncertainMeaning``, one by finding, or None.

    Raises:
        ValueError: If anything is wrong.
    """
    if label_map:
        check_labels(list(label_map.values()))
    meanings = [*uncertain.values()] if isinstance(uncertain, Mapping) else [uncertain]
    if wrong := [meaning for meaning in meanings if meaning is not None and meaning not in _CHOICES]:
        hint = did_you_mean(str(wrong[0]), _CHOICES) or "Correct it."
        raise ValueError(
            f"Expected {', '.join(_CHOICES[:-1])} or {_CHOICES[-1]} as `data.uncertain`, or one of them for each "
            f"finding, but got '{shorten(str(wrong[0]))}'. {hint}"
        )


def check_label_map(label_map: Mapping[str, str], columns: Collection[str], labels: Sequence[str] | None) -> None:
    """Refuse a map of label columns that does not fit.

    Args:
        label_map: Findings by column.
        columns: The columns that the files have.
        labels: Findings of the model; None if they are those of the files.

    Raises:
        ValueError: If it names columns that are not there, findings that the model does not have, or a finding that is
            the name of another column.
    """
    for column, label in label_map.items():
        if column not in columns:
            hint = did_you_mean(column, columns) or f"They are {_listed(columns)}."
            if label in columns:
                hint = f"The map is written column: finding, so turn it round: {{{label}: {column}}}."
            raise ValueError(f"Expected columns of the label file in `data.label_map` but got '{column}'. {hint}")
        if labels is not None and label not in labels:
            hint = did_you_mean(label, labels) or f"They are {_listed(labels)}."
            raise ValueError(f"Expected findings of the model in `data.label_map` but got '{label}'. {hint}")
        if label in columns and label != column and label not in label_map:
            raise ValueError(
                f"Expected `data.label_map` to name the one column of '{label}' but the files have a column "
                f"'{label}' beside '{column}'. Map '{label}' to another name, or leave '{column}' out."
            )


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"'{shorten(name)}'" for name in list(names)[:30])
