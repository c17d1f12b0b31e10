"""Settings of a command line as they can be pasted into a shell."""

import re
import shlex

_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./+%@-]+")
"""Values that Hydra takes without quotes."""
_WORDS = ("null", "true", "false")
"""Values that Hydra takes for something else than a text, beside numbers."""


def pasteable_override(key: str, value: object) -> str:
    r"""A setting ``key=value`` that a POSIX shell passes on to Hydra, which then reads this very text.

    Args:
        key: The setting.
        value: A path, or another text.

    Example:
        >>> print(pasteable_override("ckpt_path", "runs/1/last.ckpt"))
        ckpt_path=runs/1/last.ckpt
        >>> print(pasteable_override("ckpt_path", "seed=1, lr/last.ckpt"))
        'ckpt_path="seed=1, lr/last.ckpt"'
    """
    text = str(value)
    return shlex.quote(f"{key}={text if _is_plain(text) else _quote(text)}")


def _is_plain(text: str) -> bool:
    if not _PLAIN_VALUE.fullmatch(text) or text.lower() in _WORDS:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _quote(text: str) -> str:
    """Quote a value by Hydra's rules, in which only backslashes before quotes are escaped, and by OmegaConf's."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # else an interpolation
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return f'"{text}"'
