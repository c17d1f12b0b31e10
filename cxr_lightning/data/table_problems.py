"""What is wrong with the tables of a data set: it is collected while they are read, and is one error."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pandas as pd

from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.suggestions import did_you_mean

if TYPE_CHECKING:  # the manifest's own checks use this module
    from cxr_lightning.data.manifest import Manifest

MAX_WORDS = 20
"""Number of different words of a column that a message lists."""
_SHOWN_NAMES = 30


class DataProblemsError(ValueError):
    """Several things are wrong with the data.

    Attributes:
        errors: The error about each of them, as it is raised where it is the only one.
    """

    errors: tuple[Exception, ...] = ()


class TablesError(DataProblemsError):
    """Tables of which a part can be used.

    Attributes:
        manifest: The rows that can be used; stand-ins are in the columns that cannot.
        unknown: Columns of the manifest that hold stand-ins; ``labels`` for the columns of the labels.
    """

    def __init__(self, errors: Sequence[Exception], manifest: Manifest, unknown: Collection[str] = ()) -> None:
        super().__init__(str(joined_error(errors)))
        self.errors = tuple(errors)
        self.manifest = manifest
        self.unknown = frozenset(unknown)


class TableProblems:
    """Collects what is wrong with the tables of a data set while they are read.

    Attributes:
        errors: The error about each problem, in the order in which they were found.
        unknown: Columns of the manifest that hold stand-ins; ``labels`` for those of the labels, ``rows`` if rows are
            left out.
        remarks: What a user should know of tables that can be used, as clauses.
    """

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.unknown: set[str] = set()
        self.remarks: list[str] = []

    def add(self, error: Exception, *unknown: str) -> None:
        """Add a problem, if it is a new one, and the columns of the manifest that it makes unknown."""
        if str(error) not in map(str, self.errors):
            self.errors.append(error)
        self.unknown.update(unknown)

    @contextmanager
    def collected(self, *unknown: str) -> Iterator[None]:
        """Within the block, an error about the data is added, and ends the block."""
        try:
            yield
        except (ValueError, OSError) as error:
            self.add(error, *unknown)

    def check(self, manifest: Manifest | None = None) -> None:
        """Raise what was found.

        Args:
            manifest: The rows that can be used; None if there are none.

        Raises:
            TablesError: If something is wrong, and there is a manifest.
            ValueError: If something is wrong; FileNotFoundError and others if it is the only problem.
        """
        if self.errors and manifest is not None:
            raise TablesError(self.errors, manifest, self.unknown)
        if self.errors:
            raise joined_error(self.errors)


@contextmanager
def collector(problems: TableProblems | None) -> Iterator[TableProblems]:
    """Within the block, problems are added to a caller's collection; without one, they are raised at its end."""
    found = TableProblems() if problems is None else problems
    yield found
    if problems is None:
        found.check()


def joined_error(errors: Sequence[Exception], remedy: str = "") -> Exception:
    """One error about several things that are wrong with the data; a single one stays as it is.

    Args:
        errors: At least one.
        remedy: A sentence for the end of the message.
    """
    if len(errors) == 1 and not remedy:
        return errors[0]
    count = f"{len(errors)} things are" if len(errors) > 1 else "one thing is"
    sentences = [f"({number}) {error}" for number, error in enumerate(errors, start=1)]
    sentences = [f"Expected data that can be used but {count} wrong.", *sentences, *([remedy] if remedy else [])]
    error = DataProblemsError(" ".join(sentences))
    error.errors = tuple(errors)
    return error


def describe_words(words: pd.Series, known: Collection[str] = ()) -> str:
    """Every different word with its number, its first line and the known word that is nearest to it.

    Args:
        words: Words that are wrong; the index is the line's number minus 2.
        known: Words that would be right.

    Example:
        >>> describe_words(pd.Series(["Maas", "x", "Maas"]), ["Mass"])
        "'Maas' 2 times, first on line 2 (Did you mean 'Mass'?), 'x' on line 3"
    """
    lines = words.index.to_series().groupby(words.to_numpy(), sort=False).agg(["size", "min"])
    found = []
    for word, (count, first) in zip(lines.index[:MAX_WORDS], lines.to_numpy()[:MAX_WORDS], strict=True):
        number = f"{count} times, first " if count > 1 else ""
        hint = did_you_mean(str(word), known)
        shown = f"'{shorten(word)}'" if word else "'' (empty)"
        found.append(f"{shown} {number}on line {first + 2}{f' ({hint})' if hint else ''}")
    more = f", and {len(lines) - MAX_WORDS} other words" if len(lines) > MAX_WORDS else ""
    return ", ".join(found) + more


def quoted_names(names: Sequence[str]) -> str:
    """Names in quotation marks, comma separated; of more than thirty the first and their number."""
    more = f" and {len(names) - _SHOWN_NAMES} others" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(f"'{shorten(name)}'" for name in names[:_SHOWN_NAMES]) + more
