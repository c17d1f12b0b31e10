"""Settings of a command line as they can be pasted into a shell."""

import re
import shlex
from collections.abc import Mapping

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
    return shlex.quote(f"{key}={hydra_value(str(value))}")


def hydra_value(value: object) -> str:
    """A plain value as Hydra's grammar has it: what Hydra then reads equals it.

    Args:
        value: A text, a number, a bool, None, or a list of these, or a mapping of texts to these.

    Example:
        >>> print(hydra_value(["PA", "a b", "1", 1, True, None]))
        [PA,"a b","1",1,true,null]
    """
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_escape_key(str(key))}:{hydra_value(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(hydra_value, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value)
    return text if not isinstance(value, str) or _is_plain(text) else _quote(text)


def _escape_key(text: str) -> str:
    return re.sub(r"([\\()\[\]{}:=,\t])", r"\\\1", text)


def override_key(override: str) -> str:
    """The key of an override, such as ``seed`` of ``+seed=1``."""
    return override.lstrip("+~").partition("=")[0]


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
