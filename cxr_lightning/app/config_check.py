"""Checks of a composed configuration, before anything of it is instantiated and before data is read."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue
from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

from cxr_lightning.app.version_0_1 import RENAMED_TARGETS

CONFIG_TARGETS = (
    "cxr_lightning.",
    "pytorch_lightning.",
    "torch.optim.",
)
"""Prefixes of the targets that a configuration may name."""


@dataclass(frozen=True)
class Program:
    """The top-level keys of an entry point's configuration.

    Attributes:
        groups: Keys that hold further keys.
        switches: Plain keys and their types.
    """

    groups: frozenset[str]
    switches: Mapping[str, object]


TRAIN = Program(
    frozenset(
        {"data", "model", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger", "paths", "monitor"}
    ),
    {"seed": int, "train": bool, "test": bool, "ckpt_path": str | None, "resume": typing.Literal["auto"] | None},
)
EVALUATE = Program(
    frozenset({"data", "paths", "source", "gradcam"}),
    {
        "ckpt": str | None,
        "predictions": str | None,
        "val_predictions": str | None,
        "root": str | None,
        "split": typing.Literal["test", "val", "train"],
        "operating_points": Sequence[str],
        "prevalences": Sequence[float],
        "replicates": int,
        "seed": int,
        "allow_missing": bool,
        "save_calibrated": str | None,
        "accelerator": typing.Literal["auto", "cpu", "gpu", "mps"],
        "devices": int,
        "precision": typing.Literal["float32", "bf16"],
        "batch_size": int | None,
        "cache": bool,
        "num_workers": int | None,
        "progress_bar": bool,
    },
)

_GROUP_FIELDS: dict[str, dict[str, object]] = {
    "monitor": {"name": str, "mode": typing.Literal["min", "max"]},
    "paths": {"log_dir": str, "cache_dir": str, "output_dir": str},
    "gradcam": {
        "top": int,
        "images": Sequence[str],
        "target_layer": typing.Literal["post_relu", "pre_relu"],
        "sanity": int,
    },
    "source": {
        "labels": Sequence[str] | None,
        "preprocessing": typing.Literal["imagenet", "featurewise", "samplewise", "none"] | None,
        "mean": float | None,
        "std": float | None,
        "image_size": int | None,
        "interpolation": typing.Literal["nearest", "bilinear", "bicubic", "lanczos"] | None,
        "final_relu": bool | None,
    },
}
"""Keys of the groups without a ``_target_``, and their types."""
_COLLECTIONS = frozenset({"callbacks", "logger"})
"""Groups in which every entry is a node or null."""
_HYDRA_KEYS = ("_target_", "_partial_")


def check_config(config: DictConfig, program: Program) -> None:
    """Refuse unknown keys, missing values, wrong types and targets that are not allowed, naming the key.

    Args:
        config: The composed configuration.
        program: The program of the configuration.

    Raises:
        ValueError: At the first error.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ValueError(f"Expected a value for '{missing[0]}' but it has none. Give it: {missing[0]}=VALUE.")
    _check_keys("", config, {*program.groups, *program.switches})
    for key, annotation in program.switches.items():
        _check_value(key, _plain_value(config, key), annotation)
    for group, fields in _GROUP_FIELDS.items():
        if group not in program.groups:
            continue
        _check_keys(group, config[group], fields)
        for name, annotation in fields.items():
            _check_value(f"{group}.{name}", _plain_value(config[group], name), annotation)
    for key, node in _targets(config):
        _check_target_name(key, node["_target_"])
    for key, node in _targets(config):
        _check_node(key, node)
    for group in program.groups & _COLLECTIONS:
        for name, node in (config[group] or {}).items():
            if node is not None and not (isinstance(node, DictConfig) and "_target_" in node):
                raise ValueError(f"Expected null or a node with `_target_` as '{group}.{name}' but got {node!r}.")


def _targets(node: DictConfig, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a ``_target_``, with its dotted key; innermost first, without interpolations."""
    for name in map(str, node):
        if OmegaConf.is_missing(node, name):
            continue
        if OmegaConf.is_interpolation(node, name):  # a reference to another node, which is checked where it is
            interpolation = str(OmegaConf.to_container(node, resolve=False)[name])  # type: ignore[call-overload,index]
            if ":" in interpolation and OmegaConf.is_config(node[name]):
                full = f"{key}.{name}" if key else name
                raise ValueError(f"Expected settings as '{full}' but got {interpolation}. Write them out.")
            continue
        child = node[name]
        path = f"{key}.{name}" if key else name
        if isinstance(child, DictConfig):
            yield from _targets(child, path)
        elif OmegaConf.is_list(child) and any(OmegaConf.is_config(item) for item in child):
            raise ValueError(f"Expected plain values in the list '{path}' but it holds nodes. Remove them.")
    if "_target_" in node:
        yield key, node


def _check_target_name(key: str, target: object) -> None:
    if not isinstance(target, str) or not target.startswith(CONFIG_TARGETS):
        raise ValueError(
            f"Expected '{key}._target_' to begin with one of {list(CONFIG_TARGETS)} but got {target!r}. "
            "Other code is not run from a configuration."
        )


def _check_node(key: str, node: DictConfig) -> None:
    function = _locate(key, node["_target_"])
    parameters = inspect.signature(function).parameters
    accepts_any_key = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not accepts_any_key:
        _check_keys(key, node, {*parameters, *_HYDRA_KEYS})
    hints = _annotations(function)
    for name in map(str, node):
        value = _plain_value(node, name)
        nested = isinstance(value, Mapping) and "_target_" in value
        if name not in _HYDRA_KEYS and name in hints and not nested:
            _check_value(f"{key}.{name}", value, hints[name])


def _locate(key: str, target: str) -> Callable[..., object]:
    """Import the class or function of a dotted name."""
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., object] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        current = RENAMED_TARGETS.get(target)
        remedy = f"Since version 0.2 it is '{current}'." if current else "Correct the name."
        raise ValueError(
            f"Expected something that exists as '{key}._target_' but got '{target}' ({error}). {remedy}"
        ) from error
    return found


def _annotations(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError):  # a library's annotations that exist only for type checkers
        return {}


def _plain_value(node: DictConfig, name: str) -> Any:  # noqa: ANN401  # any YAML value
    """A value as plain Python, interpolations resolved."""
    try:
        value = node[name]
    except MissingMandatoryValue:
        return None
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _check_keys(key: str, node: Mapping[Any, Any] | DictConfig, known: typing.Collection[str]) -> None:
    for name in map(str, node):
        if name not in known:
            full = f"{key}.{name}" if key else name
            close = get_close_matches(name, list(known), n=1)
            hint = (
                f"Did you mean '{key}.{close[0]}'?".replace("'.", "'")
                if close
                else f"Known are {sorted(set(known) - set(_HYDRA_KEYS))}."
            )
            raise ValueError(f"Expected a known key but got '{full}'. {hint}")


def _check_value(key: str, value: object, annotation: object) -> None:
    try:
        check_type(
            value,
            annotation,
            forward_ref_policy=ForwardRefPolicy.IGNORE,
            collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
        )
        is_valid = not _is_unintended(value, annotation)
    except TypeCheckError:
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"Expected {_describe_annotation(annotation)} as '{key}' but got {value!r}. Correct the value."
        )


def _is_unintended(value: object, annotation: object) -> bool:
    """Whether a value has the type only by Python's rules: True as an int, or a text as a list of texts."""
    kinds = typing.get_args(annotation) or (annotation,)
    if isinstance(value, bool):
        return not any(kind in (bool, Any, object) or isinstance(kind, bool) for kind in kinds)
    members = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    listed = any(typing.get_origin(member) is Sequence for member in members)
    return isinstance(value, str) and listed and str not in members


def _describe_annotation(annotation: object) -> str:
    """An annotation as a user of the configuration writes it."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(_describe_annotation(member) for member in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Literal:
        return f"one of {list(typing.get_args(annotation))}"
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    for long, short in (("typing.", ""), ("collections.abc.", ""), ("NoneType", "null"), ("None", "null")):
        text = text.replace(long, short)
    return text
