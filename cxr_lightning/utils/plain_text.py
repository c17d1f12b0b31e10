r"""Text that comes from files and settings, shown so that it can neither hide anything nor command a terminal.

Everything that people read goes out through this module: lines (:mod:`cxr_lightning.utils.terminal`) and tables
(:mod:`cxr_lightning.utils.text_tables`) on the terminal, the log (:mod:`cxr_lightning.utils.log_records`), CSV files
(:mod:`cxr_lightning.utils.csv_files`), figures and pages.
"""

import re
import unicodedata

_INVISIBLE_LETTERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U0001bca0-\U0001bca3\U000e0000-\U000e0fff]"
)
"""Characters that Unicode ignores where it cannot show them, beside those of the category of formats."""
_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Control and format characters, surrogates, private and unassigned ones, and ends of lines and paragraphs."""


def visible(text: str) -> str:
    r"""A text in which characters that do not show themselves are escapes, so that it is one line.

    These are control characters, ends of lines, marks of direction and zero width, surrogates (bytes of a file's name
    in no encoding), and private and unassigned characters. Spaces stay. What is visible already stays as it is.

    Example:
        >>> print(visible("\x1b[31ma\nb\u202e"), visible("naïve"))
        \x1b[31ma\nb\u202e naïve
    """
    if text.isprintable() and not _INVISIBLE_LETTERS.search(text):
        return text
    return "".join(escape(character) if is_hidden(character) else character for character in text)


def shorten(text: str, limit: int = 80) -> str:
    r"""The beginning of a text as one line, with hidden characters as escapes, and ``…`` where more was.

    Args:
        text: The text, which may be very long.
        limit: Maximum number of characters.

    Example:
        >>> print(shorten("Pleural Thickening", 10), shorten("a\nb"))
        Pleural T… a\nb
    """
    line = visible(text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def one_line_reason(error: BaseException, limit: int = 200) -> str:
    r"""The message of a library's error as one short line, for parentheses in a message of this package.

    Args:
        error: The error.
        limit: Maximum number of characters.

    Example:
        >>> one_line_reason(ValueError("bad header:\n   magic\x1b[2J"))
        'bad header: magic\\x1b[2J'
    """
    return shorten(" ".join(str(error).split()), limit)


def hidden_characters(text: str) -> str:
    """The characters of a text that do not show themselves, in their order; names of findings and images have none."""
    return "" if visible(text) == text else "".join(filter(is_hidden, text))


def is_hidden(character: str) -> bool:
    """Whether a character does not show itself, or ends the line."""
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or bool(_INVISIBLE_LETTERS.match(character))


def escape(character: str) -> str:
    r"""A character as an escape of Python.

    Example:
        >>> print(escape("\n"), escape("\x85"), escape("\u202e"), escape("\U000e0001"))
        \n \x85 \u202e \U000e0001
    """
    if character in "\n\r\t":
        return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}[character]
    return hex_escape(character)


def hex_escape(character: str) -> str:
    r"""A character as its number in Python's notation.

    Example:
        >>> print(hex_escape("\n"), hex_escape("\u202e"))
        \x0a \u202e
    """
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
