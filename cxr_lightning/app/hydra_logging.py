"""Which logging a configuration may ask for: to the console, and to ``.log`` files in the run's own folder."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from cxr_lightning.app.hydra_folders import OUTPUT_FOLDER, check_no_folder, check_visible, shown_folders
from cxr_lightning.app.hydra_log_values import (
    MAX_HANDLERS,
    check_file_values,
    check_formatter_values,
    check_logger_values,
    check_section_values,
)

LOG_SUFFIX = ".log"
_CONSOLE_HANDLERS = ("logging.StreamHandler", "cxr_lightning.utils.console_log.ConsoleHandler")
_ROTATING_HANDLER = "logging.handlers.RotatingFileHandler"
_FILE_HANDLERS = ("logging.FileHandler", _ROTATING_HANDLER)
_HANDLERS = (*_CONSOLE_HANDLERS, *_FILE_HANDLERS, "logging.NullHandler")
_FORMATTERS = ("logging.Formatter",)
_COLORED_FORMATTER = "colorlog.ColoredFormatter"

_SECTION_KEYS = frozenset(
    {"version", "formatters", "filters", "handlers", "loggers", "root", "disable_existing_loggers", "incremental"}
)
_LOGGER_KEYS = frozenset({"level", "propagate", "handlers", "filters"})
_FORMATTER_KEYS = frozenset({"class", "format", "datefmt", "style", "validate"})
_COLORED_KEYS = frozenset({"()", "format", "datefmt", "style", "log_colors", "secondary_log_colors", "reset"})
_HANDLER_KEYS = frozenset({"class", "level", "formatter", "filters"})
_FILE_KEYS = frozenset({"filename", "mode", "encoding", "delay"})
_ROTATING_KEYS = frozenset({"maxBytes", "backupCount"})
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_ENCODINGS = (None, "utf-8", "utf8", "UTF-8", "ascii")
_STYLES = ("%", "$")
_MAX_BACKUPS = 100
_MAX_FORMAT_LENGTH = 2_000
"""Maximum number of characters of a format, of lines or of dates."""
_OBJECT = re.compile(r"[a-z]+://.*", re.DOTALL)
"""A value that Python's ``logging.config`` replaces by an object."""
_WIDE = re.compile(r"%(\(\w*\))?[-#0 +_^]*(\d{4,}|\d*\.\d{4,})")
"""A field of a format, of lines or of dates, that is padded to thousands of characters."""
_WORD = re.compile(r"[\w.-]+")


def check_logging(key: str, section: Mapping[Any, Any] | None) -> None:
    """Refuse settings of Python's ``logging.config`` that call other code, or write into other folders than the run's.

    Args:
        key: Dotted key of the section.
        section: Its resolved values, with the names of :mod:`cxr_lightning.app.hydra_folders`.

    Raises:
        ValueError: If they do.
    """
    if section is None:
        return
    _check_keys(key, section, _SECTION_KEYS)
    check_section_values(key, section)
    for path, value in _texts(key, section):
        if _OBJECT.fullmatch(value) and not (path.endswith(".stream") and value in _STREAMS):
            raise ValueError(
                f"Expected plain text as '{path}' but got {value!r}. Other code is not run from a configuration: a "
                f"stream is {' or '.join(_STREAMS)}."
            )
        check_visible(path, value)
        if not path.endswith(".filename"):
            check_no_folder(path, value)
    for name, formatter in _nodes(f"{key}.formatters", section.get("formatters")):
        _check_formatter(name, formatter)
    for name, filter_ in _nodes(f"{key}.filters", section.get("filters")):
        _check_keys(name, filter_, {"name"})
        if not isinstance(filter_.get("name", ""), str):
            raise ValueError(f"Expected the name of a logger as '{name}.name' but got {filter_['name']!r}. Correct it.")
    handlers = list(_nodes(f"{key}.handlers", section.get("handlers")))
    if len(handlers) > MAX_HANDLERS:
        raise ValueError(f"Expected at most {MAX_HANDLERS} in '{key}.handlers' but got {len(handlers)}. Remove some.")
    for name, handler in handlers:
        _check_handler(name, handler)
        check_logger_values(name, handler, section)
    root = {} if section["root"] is None else {"root": section["root"]}
    for name, logger in (*_nodes(f"{key}.loggers", section.get("loggers")), *_nodes(key, root)):
        _check_keys(name, logger, _LOGGER_KEYS)
        check_logger_values(name, logger, section)


def _check_formatter(key: str, formatter: Mapping[Any, Any]) -> None:
    if "()" in formatter:
        _check_name(f"{key}.()", formatter["()"], (_COLORED_FORMATTER,))
        _check_keys(key, formatter, _COLORED_KEYS)
    else:
        _check_keys(key, formatter, _FORMATTER_KEYS)
        if "class" in formatter:
            _check_name(f"{key}.class", formatter["class"], _FORMATTERS)
    _check_name(f"{key}.style", formatter.get("style", "%"), _STYLES)
    for name in ("format", "datefmt"):
        text = formatter.get(name)
        if text is not None and (not isinstance(text, str) or len(text) > _MAX_FORMAT_LENGTH or _WIDE.search(text)):
            raise ValueError(
                f"Expected a format of at most {_MAX_FORMAT_LENGTH:,} characters, without wide fields, as "
                f"'{key}.{name}' but got {str(text)[:50]!r}. Correct it."
            )
    check_formatter_values(key, formatter)


def _check_handler(key: str, handler: Mapping[Any, Any]) -> None:
    kind = handler.get("class", handler.get("()"))
    _check_name(f"{key}.class", kind, _HANDLERS)
    if kind in _CONSOLE_HANDLERS:
        _check_keys(key, handler, _HANDLER_KEYS | {"stream"})
        if handler.get("stream") is not None:
            _check_name(f"{key}.stream", handler["stream"], _STREAMS)
    elif kind in _FILE_HANDLERS:
        rotating = _ROTATING_KEYS if kind == _ROTATING_HANDLER else frozenset()
        _check_keys(key, handler, _HANDLER_KEYS | _FILE_KEYS | rotating)
        _check_file(key, handler)
    else:
        _check_keys(key, handler, _HANDLER_KEYS)


def _check_file(key: str, handler: Mapping[Any, Any]) -> None:
    name = str(handler.get("filename"))
    path = PurePath(name)
    check_no_folder(f"{key}.filename", path.name)
    if path.parent != PurePath(OUTPUT_FOLDER) or not _is_log_name(path.name):
        raise ValueError(
            f"Expected a {LOG_SUFFIX} file in the run's own folder as '{key}.filename' but got "
            f"'{shown_folders(name)}'. Write "
            f"${{hydra.runtime.output_dir}}/NAME{LOG_SUFFIX}."
        )
    _check_name(f"{key}.mode", handler.get("mode", "a"), ("a",))
    _check_name(f"{key}.encoding", handler.get("encoding"), _ENCODINGS)
    check_file_values(key, handler, _MAX_BACKUPS)


def _is_log_name(name: str) -> bool:
    return _WORD.fullmatch(name) is not None and name.endswith(LOG_SUFFIX) and not name.startswith(".")


def _check_keys(key: str, node: Mapping[Any, Any], allowed: Collection[str]) -> None:
    if unknown := [str(name) for name in node if name not in allowed]:
        raise ValueError(
            f"Expected keys of {sorted(allowed)} in '{key}' but got '{unknown[0]}'. Other code is not run from a "
            "configuration: leave it out."
        )


def _check_name(key: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise ValueError(
            f"Expected '{key}' to be one of {list(allowed)} but got {value!r}. Other code is not run from a "
            "configuration."
        )


def _nodes(key: str, group: object) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    if group is None:
        return
    if not isinstance(group, Mapping):
        raise ValueError(f"Expected settings as '{key}' but got {group!r}. Leave it out.")
    for name, node in group.items():
        if not isinstance(name, str):
            raise ValueError(f"Expected names in '{key}' but got {name!r}. Correct it.")
        if not isinstance(node, Mapping):
            raise ValueError(f"Expected settings as '{key}.{name}' but got {node!r}. Leave it out.")
        yield f"{key}.{name}", node


def _texts(key: str, content: object) -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _texts(f"{key}.{name}", value)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _texts(f"{key}[{index}]", value)
    elif isinstance(content, str):
        yield key, content
