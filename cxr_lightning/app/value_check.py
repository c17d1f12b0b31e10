"""Values of a configuration against the types, ranges and keys that are declared for them, as sentences for users."""

import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, SchemaError

from cxr_lightning.app.unknown_names import describe_unknown_key
from cxr_lightning.utils.suggestions import did_you_mean
from cxr_lightning.utils.typed_values import TypedValues

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}
"""Kinds of pydantic's errors about bounds: the key of the bound, and the words for it."""


def wrong_value(key: str, value: object, annotation: object) -> str | None:
    """Describe why a value is not of a type; None if it is, or the type cannot be checked.

    Args:
        key: Dotted key of the value.
        value: Plain value.
        annotation: The declared type. Values are not converted: ``1`` is no bool and ``true`` is no int.

    Example:
        >>> wrong_value("data.batch_size", True, int)
        "Expected int as 'data.batch_size' but got True. Correct the value."
    """
    adapter = _adapter(annotation)
    if adapter is None or _fits(adapter, value):
        return None
    if isinstance(value, list) and _fits(adapter, tuple(value)):  # YAML has no tuples
        return None
    return _wrong_type(key, value, annotation)


def unknown_keys(key: str, node: Mapping[Any, Any], known: Collection[str]) -> Iterator[str]:
    """Describe the keys of a node that are not known, with the nearest known one.

    Args:
        key: Dotted key of the node; empty for the configuration itself.
        node: The node.
        known: Its known keys.
    """
    for name in map(str, node):
        if name not in known:
            yield describe_unknown_key(f"{key}.{name}" if key else name, known)


class Settings(TypedValues):
    """Plain settings of a program: each field holds a key's type, default, meaning and rule."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    groups: ClassVar[tuple[str, ...]] = ()
    """Groups of the configuration that set keys of others, and are no keys themselves."""
    own_rules: ClassVar[frozenset[str]] = frozenset()
    """Keys of nodes whose values :meth:`contradictions` checks whole, types included."""

    def contradictions(self, overrides: Sequence[str] = ()) -> Iterator[str]:
        """Describe the settings that contradict each other or have no effect.

        Args:
            overrides: The ``key=value`` that were given, beside the defaults.
        """
        return iter(())

    def part_problems(self, wrong: Collection[str]) -> Iterator[str]:
        """Describe what only the parts themselves can tell, once they are made or their files are read.

        Args:
            wrong: Dotted keys of nodes that are known to be wrong, and cannot be made.
        """
        return iter(())


def invalid_settings(error: ValidationError, settings: type[BaseModel], known: Collection[str] = ()) -> Iterator[str]:
    """Describe what is wrong with settings, one sentence for each key.

    Args:
        error: pydantic's error.
        settings: The type that was validated.
        known: Keys that are described already.
    """
    described = set(known)
    for details in error.errors(include_url=False):
        key, annotation, known = _find_field(details["loc"], settings)
        if key not in described:
            described.add(key)
            yield _describe(details, key, annotation, known)


def _find_field(loc: tuple[int | str, ...], settings: type[BaseModel]) -> tuple[str, object, Collection[str]]:
    """Dotted key of the wrong field, its type, and the known keys beside it."""
    fields = settings.model_fields
    name = str(loc[0])
    annotation = fields[name].annotation if name in fields else None
    if len(loc) > 1 and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        key, inner, known = _find_field(loc[1:], annotation)
        return f"{name}.{key}", inner, known
    return name, annotation, [*fields, *getattr(settings, "groups", ())]


def _describe(details: ErrorDetails, key: str, annotation: object, known: Collection[str]) -> str:
    kind, value = details["type"], details["input"]
    if kind == "missing":
        return f"Expected a value for '{key}' but it has none. Leave its default in place."
    if kind == "extra_forbidden":
        return describe_unknown_key(key, known)
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"Expected `{key}` to be {words} {details['ctx'][name]:.10g} but got {value!r}. Correct the value."
    if kind == "value_error":
        return str(details["ctx"]["error"])
    return _wrong_type(key, value, annotation)


def _wrong_type(key: str, value: object, annotation: object) -> str:
    hint = did_you_mean(value, list(_literals(annotation))) if isinstance(value, str) else ""
    expected = _describe_annotation(annotation)
    return f"Expected {expected} as '{key}' but got {value!r}. {hint or 'Correct the value.'}"


def _literals(annotation: object) -> Iterator[str]:
    """The texts that an annotation allows by name."""
    if typing.get_origin(annotation) is typing.Literal:
        yield from (value for value in typing.get_args(annotation) if isinstance(value, str))
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for member in typing.get_args(annotation):
            yield from _literals(member)


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any] | None:  # noqa: ANN401  # any annotation
    try:
        return TypeAdapter(annotation, config=_STRICT)
    except (PydanticSchemaGenerationError, SchemaError, NameError):  # a type that exists for type checkers only
        return None


def _fits(adapter: TypeAdapter[Any], value: object) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def _describe_annotation(annotation: object) -> str:
    """An annotation as a user of the configuration writes it."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _describe_annotation(typing.get_args(annotation)[0])
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(_describe_annotation(member) for member in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Literal:
        return f"one of {list(typing.get_args(annotation))}"
    arguments = typing.get_args(annotation)
    if arguments and typing.get_origin(annotation) in (list, tuple, Sequence):
        return f"a list of {_describe_annotation(arguments[0])}"
    if len(arguments) == 2 and typing.get_origin(annotation) in (dict, Mapping):
        return f"a mapping of names to {_describe_annotation(arguments[1])}"
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    for long, short in (("typing.", ""), ("collections.abc.", ""), ("NoneType", "null"), ("None", "null")):
        text = text.replace(long, short)
    return text
