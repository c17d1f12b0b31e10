"""Checks of a composed configuration, before anything of it is instantiated and before data is read."""

import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue
from pydantic import BaseModel, ValidationError

from cxr_lightning.app.errors import describe_reference
from cxr_lightning.app.resolvers import without_torch
from cxr_lightning.app.targets import arguments_of_target, find_target
from cxr_lightning.app.unknown_names import HYDRA_KEYS, join_problems
from cxr_lightning.app.value_check import Settings, invalid_settings, unknown_keys, wrong_value
from cxr_lightning.app.written_arguments import Arguments
from cxr_lightning.utils.plugins import load_plugins
from cxr_lightning.utils.suggestions import suggested_names

_REFERENCE = re.compile(r"\$\{[\w.]+\}")
"""The text of a value that is another key's."""

_FACTORIES = frozenset({"loss", "optimizer", "scheduler", "model.optimizer", "model.scheduler"})
"""Nodes that may be called later, with what is derived from the data or the model."""

SettingsType = TypeVar("SettingsType", bound=Settings)

Node = Mapping[str, Any]
"""A node with a ``_target_``, whose constructor owns the types and defaults."""
Nodes = Mapping[str, Any]
"""A group whose entries are nodes or null."""


def check_config(
    config: DictConfig, settings: type[SettingsType], overrides: Sequence[str] = (), known_problems: Sequence[str] = ()
) -> SettingsType:
    """Check a whole configuration, and return its plain settings.

    Args:
        config: The composed configuration.
        settings: The type of the program's settings.
        overrides: The ``key=value`` that were given, beside the defaults.
        known_problems: Problems that are known already, with which the others are told.

    Raises:
        ValueError: If there are unknown keys, missing values, wrong types, targets that are not allowed or settings
            that contradict each other; all of them in one message, each with its key.
        ImportError: If a trusted package cannot be imported.
    """
    load_plugins()  # a package that cannot be imported is found now, not after hours of work
    try:
        with without_torch():
            found, problems = _check_without_imports(config, settings, overrides)
    except InterpolationResolutionError as error:
        found, problems = None, [describe_reference(error)]
    problems = [*known_problems, *(problem for problem in problems if not _is_told(problem, known_problems))]
    if found is not None and not problems:  # what follows imports torch and Lightning, which takes seconds
        wrong = _target_problems(config)
        problems = [problem for found_problems in wrong.values() for problem in found_problems]
        problems += found.part_problems(wrong)
    if problems or found is None:
        raise ValueError(join_problems(problems))
    return found


def _is_told(problem: str, before: Sequence[str]) -> bool:
    """Whether a problem is about a key that others suggest in the place of a misspelled one."""
    suggested = [name.removeprefix("+") for text in before for name in suggested_names(text)]
    return any(re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", problem) for key in suggested)


def _check_without_imports(
    config: DictConfig, settings: type[SettingsType], overrides: Sequence[str]
) -> tuple[SettingsType | None, list[str]]:
    """The plain settings, None if they are invalid, and the problems that can be found without torch."""
    absent = dict(_absent_nodes(config, settings))
    try:
        found, problems = _check_nodes_and_values(config, settings, overrides, absent)
    except InterpolationResolutionError:  # of a value that refers to what is absent
        if not absent:
            raise
        found, problems = None, []
    return found, [*absent.values(), *problems]


def _check_nodes_and_values(
    config: DictConfig, settings: type[SettingsType], overrides: Sequence[str], absent: Collection[str]
) -> tuple[SettingsType | None, list[str]]:
    problems = [
        f"Expected a value for '{key}' but it has none. Give it: {key}=VALUE."
        for key in sorted(OmegaConf.missing_keys(config))
    ]
    try:
        nodes = list(_nodes(config))
    except ValueError as error:
        nodes, problems = [], [*problems, str(error)]
    for key, node in nodes:
        try:
            arguments = arguments_of_target(key, node["_target_"])
        except ValueError as error:
            problems.append(str(error))
        else:
            problems += _argument_problems(key, node, arguments.without(settings.own_rules, key))
    values = {str(name): _plain_value(config, str(name)) for name in config}
    try:
        found = settings(**values)
    except ValidationError as error:
        invalid = invalid_settings(error, settings, known=absent)
        return None, [*problems, *invalid, *_other_contradictions(values, error, settings)]
    problems += _group_problems(found)
    problems += found.contradictions(overrides)
    return found, problems


def _absent_nodes(config: DictConfig, settings: type[Settings]) -> Iterator[tuple[str, str]]:
    """Nodes that others refer to, and that are not there, or are plain values: their names, and what is wrong."""
    for name, field in settings.model_fields.items():
        kind = field.annotation
        is_node = kind == Node or (isinstance(kind, type) and issubclass(kind, BaseModel))
        if name not in config:
            if field.is_required():
                yield name, f"Expected '{name}' but the settings are without it. Leave '~{name}' out."
        elif is_node and not OmegaConf.is_missing(config, name) and not OmegaConf.is_dict(config[name]):
            yield name, f"Expected settings as '{name}' but got {config[name]!r}. Set its keys: {name}.KEY=VALUE."


def _other_contradictions(values: Mapping[str, Any], error: ValidationError, settings: type[Settings]) -> Iterator[str]:
    """Contradictions among the other settings, with defaults in place of those that are wrong, or empty nodes."""
    wrong = {str(details["loc"][0]) for details in error.errors(include_url=False)}
    right = {name: value for name, value in values.items() if name not in wrong}
    fields = settings.model_fields
    empty: dict[str, Node] = {name: {} for name in wrong if name in fields and fields[name].annotation == Node}
    try:
        others = settings(**right, **empty)
    except ValidationError:  # a setting without a default
        return
    is_about_wrong = re.compile(rf"\b({'|'.join(map(re.escape, wrong))})\b")
    for problem in (*_group_problems(others), *others.contradictions()):
        if not is_about_wrong.search(problem):
            yield problem


def _target_problems(config: DictConfig) -> dict[str, list[str]]:
    """Problems with the classes and functions of nodes, which are imported for that, and with their values; by key."""
    problems: dict[str, list[str]] = {}
    for key, node in _nodes(config):
        try:
            found = list(_argument_problems(key, node, imported_arguments(find_target(key, node["_target_"]))))
        except (ValueError, ImportError) as error:
            found = [str(error)]
        if found:
            problems[key] = found
    return problems


def _nodes(node: DictConfig, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a ``_target_``, with its dotted key; innermost first, without interpolations."""
    names: list[Any] = list(node)  # not always strings: epochs are numbers
    for name in names:
        if OmegaConf.is_missing(node, name):
            continue
        path = f"{key}.{name}" if key else str(name)
        if OmegaConf.is_interpolation(node, name):  # a reference to another node, which is checked where it is
            interpolation = str(OmegaConf.to_container(node, resolve=False)[name])  # type: ignore[index]
            if ":" in interpolation and OmegaConf.is_config(node[name]):
                raise ValueError(f"Expected settings as '{path}' but got {interpolation}. Write them out.")
            continue
        child = node[name]
        if isinstance(child, DictConfig):
            yield from _nodes(child, path)
        elif OmegaConf.is_list(child) and any(OmegaConf.is_config(item) for item in child):
            raise ValueError(f"Expected plain values in the list '{path}' but it holds nodes. Remove them.")
    if "_target_" in node:
        yield key, node


def _argument_problems(key: str, node: DictConfig, arguments: Arguments) -> Iterator[str]:
    """Unknown arguments of a node, and values of the wrong type."""
    if arguments.names is not None:
        yield from unknown_keys(key, typing.cast(Mapping[Any, Any], node), {*arguments.names, *HYDRA_KEYS})
    if "_partial_" in node and (not isinstance(node["_partial_"], bool) or key not in _FACTORIES):
        yield f"Expected no `_partial_` in '{key}' but got {node['_partial_']!r}. Remove it."
    types = arguments.types
    for name in map(str, node):
        if name in HYDRA_KEYS or name not in types or OmegaConf.is_missing(node, name) or _is_reference(node, name):
            continue
        value = _plain_value(node, name)
        nested = isinstance(value, Mapping) and "_target_" in value
        if not nested and (problem := wrong_value(f"{key}.{name}", value, types[name])):
            yield problem


def _is_reference(node: DictConfig, name: str) -> bool:
    """Whether a value is that of another key, which is checked there."""
    raw: Any = OmegaConf.to_container(node, resolve=False)
    return isinstance(raw[name], str) and _REFERENCE.fullmatch(raw[name]) is not None


def imported_arguments(function: Callable[..., object]) -> Arguments:
    """Arguments of a class or function that is imported."""
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    try:
        types = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError):  # a library's annotations that exist only for type checkers
        types = {}
    return Arguments(None if takes_any else frozenset(parameters), types)


def _group_problems(settings: Settings) -> Iterator[str]:
    """Entries of groups that are neither nodes nor null, and data without a choice."""
    data = getattr(settings, "data", None)
    if data is not None and "_target_" not in data:
        given = ", ".join(f"'data.{name}'" for name in data)
        yield f"Expected a choice of data beside {given} but got none. For example: data=nih."
    for group in ("callbacks", "logger"):
        for name, node in (getattr(settings, group, None) or {}).items():
            if node is not None and not (isinstance(node, Mapping) and "_target_" in node):
                yield (
                    f"Expected null or a node with `_target_` as '{group}.{name}' but got {node!r}. "
                    f"Set '{group}.{name}=null', or choose {group} that have it."
                )


def _plain_value(node: DictConfig, name: str) -> Any:  # noqa: ANN401  # any YAML value
    """A value as plain Python, interpolations resolved; None where it is missing."""
    try:
        value = node[name]
    except MissingMandatoryValue:
        return None
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
