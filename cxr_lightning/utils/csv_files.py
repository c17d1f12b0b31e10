"""The one way of tables to CSV files: no cell is a formula, holds a control character or more than its line."""

import csv
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO

from cxr_lightning.utils.plain_text import hex_escape, is_hidden, visible

_FORMULA_STARTS = ("=", "+", "-", "@")
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:10|0[0-9a-f])[0-9a-f]{4})")
"""An escape of :func:`lossless_cell`; numbers of no character are none."""


class TableWriter:
    """Writes the rows of a table that people open in a spreadsheet program.

    Texts are written so that they are neither formulas nor hide anything; numbers stay numbers; None is an empty cell.

    Args:
        file: The open file; line ends are not translated.
    """

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def writerow(self, cells: Iterable[object]) -> None:
        """Write a row."""
        self._writer.writerow([table_cell(cell) if isinstance(cell, str) else cell for cell in cells])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write several rows."""
        for row in rows:
            self.writerow(row)


def table_cell(text: str) -> str:
    r"""A text as the cell of a table for people.

    Example:
        >>> print(table_cell("=1+1"), table_cell(" @x"), table_cell("a\rb"), table_cell("Mass"))
        '=1+1 ' @x a\rb Mass
    """
    shown = visible(text)
    return f"'{shown}" if starts_formula(shown) else shown


def starts_formula(text: str) -> bool:
    r"""Whether a spreadsheet program may take a text for a formula: also after blanks, and in wide letters.

    Example:
        >>> [starts_formula(text) for text in ("=1", "  -x", "\uff20a", "a=1", "")]
        [True, True, True, False, False]
    """
    return unicodedata.normalize("NFKC", text.lstrip()[:1])[:1] in _FORMULA_STARTS


def write_lossless(file: TextIO, rows: Iterable[Iterable[str]]) -> None:
    """Write a table that this package reads again: :func:`read_lossless` gives of each cell the very text.

    Args:
        file: The open file; line ends are not translated.
        rows: Texts, the header's among them.
    """
    csv.writer(file, lineterminator="\n").writerows([map(lossless_cell, row) for row in rows])


def lossless_cell(text: str) -> str:
    r"""A text as a cell that is no formula and hides nothing, and from which the text is read again.

    Example:
        >>> print(lossless_cell("=1"), lossless_cell("'=1"), lossless_cell("'x"), lossless_cell("a\nb"))
        '=1 ''=1 'x a\x0ab
    """
    inner = text.strip()  # readers of tables drop blanks around it
    if inner != text or any(map(is_hidden, text)) or _ESCAPE.search(text):
        start = text.index(inner)
        shown = (
            _escaped(character) if start <= place < start + len(inner) else hex_escape(character)
            for place, character in enumerate(text)
        )
        text = "".join(shown)
    return f"'{text}" if starts_formula(text.lstrip("'")) else text


def _escaped(character: str) -> str:
    return "\\\\" if character == "\\" else hex_escape(character) if is_hidden(character) else character


def read_lossless(cell: str) -> str:
    r"""The text that :func:`lossless_cell` has written.

    Example:
        >>> print(read_lossless("'=1"), read_lossless("''=1"), read_lossless("'x"), read_lossless(r"\x41"))
        =1 '=1 'x A
    """
    if cell.startswith("'") and starts_formula(cell.lstrip("'")):
        cell = cell[1:]
    return _ESCAPE.sub(lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)), cell)
