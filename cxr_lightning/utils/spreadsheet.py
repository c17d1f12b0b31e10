"""Escaping of text in CSV files for spreadsheet programs."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def escape_formula(text: str) -> str:
    """Escape a text that a spreadsheet program would take for a formula.

    Example:
        >>> escape_formula("=1+1"), escape_formula("Mass")
        ("'=1+1", 'Mass')
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
