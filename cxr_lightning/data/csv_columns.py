"""Columns of a text table by their names: other spellings of them, and the error about those that are not there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr_lightning.data.table_problems import quoted_names
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.suggestions import did_you_mean

_SHOWN_COLUMNS = 30
_MAX_SUGGESTIONS = 5
"""Number of columns that are not there for which a message suggests others."""


def spelled_as(columns: Sequence[str], header: Sequence[str]) -> list[str]:
    """A header in which columns that differ in letter case, blanks or underscores alone are spelled as requested.

    Args:
        columns: The requested columns.
        header: The file's columns.
    """
    spellings = Counter(map(_spelling, header))
    spelled = {_spelling(column): column for column in columns if column not in header}
    return [
        spelled.get(_spelling(name), name) if name not in columns and spellings[_spelling(name)] == 1 else name
        for name in header
    ]


def _spelling(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def column_error(
    header: Sequence[str], columns: Sequence[str], path: Path, settings: Mapping[str, str], is_download: bool
) -> Exception:
    """The error about all columns that are not there, or are there twice.

    Args:
        header: The file's columns.
        columns: Those that should be there, each once.
        path: The file, for the message.
        settings: Settings that name the columns, by column, and the one that names the file by ``""``; several of one
            column are joined by "or".
        is_download: Whether the file is one that users download, with names of columns that no setting gives.
    """
    counts = Counter(header)
    missing = [column for column in columns if not counts[column]]
    again = [column for column in columns if counts[column] > 1]
    wrong = [*missing, *again]
    found = [f"'{column}' is there {counts[column]} times" for column in again[:_SHOWN_COLUMNS]]
    if missing:
        others = list(counts.keys() - set(columns))
        named = [column if column in settings else "" for column in missing[:_MAX_SUGGESTIONS]]
        hints = [did_you_mean(column, others) if column else "" for column in named]
        hints += [""] * (len(missing) - len(hints))
        shown = [f"'{name}'{f' ({hint})' if hint else ''}" for name, hint in zip(missing, hints, strict=True)]
        more = f" and {len(shown) - _SHOWN_COLUMNS} others" if len(shown) > _SHOWN_COLUMNS else ""
        absent = f"{', '.join(shown[:_SHOWN_COLUMNS])}{more} {'are' if len(missing) > 1 else 'is'} not there and "
        listed = [shorten(name) for name in header[:_SHOWN_COLUMNS]]
        found.insert(0, f"{absent if any(hints) or len(wrong) > 1 else ''}the columns are {listed}")
    expected = f"one column '{wrong[0]}'" if len(wrong) == 1 else f"the columns {quoted_names(wrong)}, each once,"
    advice = _column_advice(wrong, settings, is_download)
    return ValueError(f"Expected {expected} in '{path}' but {'; '.join(found)}. {advice}.")


def _column_advice(columns: Sequence[str], settings: Mapping[str, str], is_download: bool) -> str:
    """What to do about columns that are not there, or are there twice."""
    given = dict.fromkeys(settings[column] for column in columns if column in settings)
    named = ", ".join(f"`{setting}`".replace(" or ", "` or `") for setting in given)
    if not is_download or all(column in settings for column in columns):
        return f"Correct the header{f', or {named}' if named else ''}"
    file = [f"set `{settings['']}` to the name of the right file"] if "" in settings else []
    return ", or ".join(["Download it again", *file, *([f"correct {named}"] if named else [])])
