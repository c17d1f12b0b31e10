"""Types of command-line arguments."""


def comma_separated(text: str) -> list[str]:
    """Names separated by commas.

    Example:
        >>> comma_separated("Mass, Edema")
        ['Mass', 'Edema']
    """
    return [name.strip() for name in text.split(",")]
