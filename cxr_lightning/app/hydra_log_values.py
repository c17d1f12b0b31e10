"""Types of the settings of Python's ``logging.config``: levels, names of what is there, numbers."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

MAX_HANDLERS = 20
"""Maximum number of handlers, and of filters, of a section or a logger."""
_MAX_LOG_BYTES = 10**12
"""Maximum size of a log file, after which another one is begun."""
_LEVELS = ("CRITICAL", "FATAL", "ERROR", "WARNING", "WARN", "INFO", "DEBUG", "NOTSET")
_MAX_LEVEL = 50
_COLORS = ("black", "red", "green", "yellow", "blue", "purple", "cyan", "white")
_STYLES = ("", "bold_", "thin_", "fg_", "bg_", "bg_bold_", "light_", "bg_light_", "fg_bold_", "fg_thin_")
_COLOR_CODES = frozenset({"reset", "bold", "thin", *(f"{style}{color}" for style in _STYLES for color in _COLORS)})


def check_section_values(key: str, section: Mapping[Any, Any]) -> None:
    """Refuse a section whose own values are of other types than Python's ``logging.config`` takes.

    Args:
        key: Dotted key of the section.
        section: Its resolved values.

    Raises:
        ValueError: If there is one; the message names it.
    """
    if "root" not in section:
        raise ValueError(f"Expected '{key}.root' but it is not there. Set it, or {key}.root=null for no logging.")
    version = section.get("version")
    _require(version == 1 and not isinstance(version, bool), f"{key}.version", "1", version)
    _check_bool(f"{key}.disable_existing_loggers", section.get("disable_existing_loggers"))
    incremental = section.get("incremental", False)
    _require(incremental is False, f"{key}.incremental", "false", incremental)


def check_logger_values(key: str, logger: Mapping[Any, Any], section: Mapping[Any, Any]) -> None:
    """Refuse the settings of a logger, of a handler or of the root that are of other types.

    Args:
        key: Dotted key of the node.
        logger: Its resolved values.
        section: The section, whose handlers, filters and formatters it may name.

    Raises:
        ValueError: If there is one; the message names it.
    """
    check_level(f"{key}.level", logger.get("level"))
    _check_bool(f"{key}.propagate", logger.get("propagate"))
    for name in ("handlers", "filters"):
        _check_names(f"{key}.{name}", logger.get(name), section.get(name) or {})
    formatter, known = logger.get("formatter"), section.get("formatters") or {}
    is_known = formatter is None or (isinstance(formatter, str) and formatter in known)
    _require(is_known, f"{key}.formatter", f"one of {list(known)}", formatter)


def check_level(key: str, level: object) -> None:
    """Refuse what is no level of a log.

    Args:
        key: Its dotted key.
        level: The level; None where there is none.

    Raises:
        ValueError: If it is neither a name nor a number that logging knows.
    """
    is_number = isinstance(level, int) and not isinstance(level, bool) and 0 <= level <= _MAX_LEVEL
    is_name = isinstance(level, str) and level in _LEVELS
    _require(level is None or is_number or is_name, key, f"one of {list(_LEVELS)}, or 0 to {_MAX_LEVEL},", level)


def check_file_values(key: str, handler: Mapping[Any, Any], max_backups: int) -> None:
    """Refuse the settings of a log file that are of other types.

    Args:
        key: Dotted key of the handler.
        handler: Its resolved values.
        max_backups: Maximum number of earlier files that are kept.

    Raises:
        ValueError: If there is one; the message names it.
    """
    _check_bool(f"{key}.delay", handler.get("delay"))
    for name, maximum in (("maxBytes", _MAX_LOG_BYTES), ("backupCount", max_backups)):
        number = handler.get(name, 0)
        is_number = isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= maximum
        _require(is_number, f"{key}.{name}", f"0 to {maximum:,}", number)


def check_formatter_values(key: str, formatter: Mapping[Any, Any]) -> None:
    """Refuse the settings of a formatter that are of other types, and a format with fields that no message has.

    Args:
        key: Dotted key of the formatter.
        formatter: Its resolved values.

    Raises:
        ValueError: If there is one; the message names it.
    """
    for name in ("validate", "reset"):
        _check_bool(f"{key}.{name}", formatter.get(name))
    _check_colors(f"{key}.log_colors", formatter.get("log_colors"))
    secondary = formatter.get("secondary_log_colors") or {}
    _require(isinstance(secondary, Mapping), f"{key}.secondary_log_colors", "settings", secondary)
    for name, colors in secondary.items():
        _check_colors(f"{key}.secondary_log_colors.{name}", colors)
    style: Any = formatter.get("style", "%")
    try:
        made = logging.Formatter(formatter.get("format"), formatter.get("datefmt"), style)
        if "()" not in formatter:  # that of colors adds fields of its own
            made.format(logging.LogRecord("name", logging.INFO, "file", 1, "message", None, None, "function"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"Expected a format of Python's logging as '{key}.format' but got {_shown(formatter.get('format'))} "
            f"({type(error).__name__}: {error}). Correct it."
        ) from error


def _check_colors(key: str, colors: object) -> None:
    if colors is None:
        return
    _require(isinstance(colors, Mapping), key, "colors by level", colors)
    assert isinstance(colors, Mapping)
    for level, names in colors.items():
        is_known = isinstance(names, str) and set(names.split(",")) <= {*_COLOR_CODES, ""}
        _require(is_known, f"{key}.{level}", "names of colors", names)


def _check_names(key: str, names: object, known: Collection[Any]) -> None:
    if names is None:
        return
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    _require(is_list, key, f"a list of names of {list(known)}", names)
    assert isinstance(names, Sequence)
    for name in names:
        _require(isinstance(name, str) and name in known, key, f"a list of names of {list(known)}", name)
    _require(len(names) <= MAX_HANDLERS, key, f"at most {MAX_HANDLERS} names", names)
    _require(len(names) == len(set(names)), key, "different names", names)


def _check_bool(key: str, value: object) -> None:
    _require(value is None or isinstance(value, bool), key, "true or false", value)


def _require(condition: bool, key: str, expected: str, value: object) -> None:
    if not condition:
        raise ValueError(f"Expected {expected} as '{key}' but got {_shown(value)}. Correct it.")


def _shown(value: object) -> str:
    return repr(value)[:100]
