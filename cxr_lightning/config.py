"""Checks of a composed configuration, before anything of it is made and before data is read."""

import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue
from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

ALLOWED_TARGETS = (
    "cxr_lightning.",
    "pytorch_lightning.",
    "torch.optim.",
)
"""Prefixes of what a configuration may name as ``_target_``."""

GROUPS = frozenset(
    {"data", "model", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger", "paths", "monitor"}
)
SWITCHES: dict[str, object] = {"seed": int, "train": bool, "test": bool, "ckpt_path": str | None}
"""Top-level keys that are no groups, and their types."""

_PLAIN: dict[str, dict[str, object]] = {
    "monitor": {"name": str, "mode": typing.Literal["min", "max"]},
    "paths": {"log_dir": str, "cache_dir": str, "output_dir": str},
}
_COLLECTIONS = ("callbacks", "logger")
_HYDRA_KEYS = ("_target_", "_partial_")


def register_resolvers() -> None:
    """Make known what ``${name:...}`` in ``conf/`` stands for; may be called again."""
    resolvers: dict[str, Callable[..., object]] = {
        "on_subset": _on_subset,
        "on_phantom": _on_phantom,
        "val_share": _val_share,
        "auto_precision": _auto_precision,
        "run_folder": _run_folder,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _on_subset(yes: Any, no: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401  # any YAML value
    return yes if _root_.data.subset is True else no


def _on_phantom(yes: Any, no: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401  # any YAML value
    return yes if _root_.data.source._target_.endswith(".PhantomSource") else no


def _val_share(train_images: Any, val_images: Any) -> float:  # noqa: ANN401  # may be of a wrong type: checked later
    try:
        return float(val_images / (train_images + val_images))
    except (TypeError, ZeroDivisionError):
        return math.nan


def _auto_precision(accelerator: str) -> str:
    """Mixed bfloat16 where the hardware multiplies it natively, else float32."""
    import torch  # not needed for --help

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if accelerator == "auto" and torch.backends.mps.is_available():
        return "32-true"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # no public question yet
    return "bf16-mixed" if accelerator in ("auto", "cpu") and native else "32-true"


def _run_folder(ckpt_path: str | None, new: str) -> str:
    """The folder that a checkpoint is from, so that a resumed run goes on in it; else a new one."""
    if isinstance(ckpt_path, str) and Path(ckpt_path).is_file() and Path(ckpt_path).parent.name == "checkpoints":
        return str(Path(ckpt_path).absolute().parent.parent)
    return new


def check_config(config: DictConfig) -> None:
    """Refuse unknown keys, missing values, wrong types and foreign targets, naming the key.

    Args:
        config: The composed configuration.

    Raises:
        ValueError: At the first fault.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ValueError(f"Expected a value for '{missing[0]}' but it has none. Give it: {missing[0]}=VALUE.")
    _check_keys("", config, {*GROUPS, *SWITCHES})
    for key, annotation in SWITCHES.items():
        _check_value(key, config[key], annotation)
    for group, fields in _PLAIN.items():
        _check_keys(group, config[group], fields)
        for name, annotation in fields.items():
            _check_value(f"{group}.{name}", _plain(config[group], name), annotation)
    for key, node in _targets(config):
        _check_target_name(key, node["_target_"])
    for key, node in _targets(config):
        _check_node(key, node)
    for group in _COLLECTIONS:
        for name, node in (config[group] or {}).items():
            if node is not None and not (isinstance(node, DictConfig) and "_target_" in node):
                raise ValueError(f"Expected null or a node with `_target_` as '{group}.{name}' but got {node!r}.")


def _targets(node: DictConfig, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a ``_target_``, with its dotted key; innermost first, nodes that are interpolations not twice."""
    for name in map(str, node):
        if OmegaConf.is_interpolation(node, name) or OmegaConf.is_missing(node, name):
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
    if not isinstance(target, str) or not target.startswith(ALLOWED_TARGETS):
        raise ValueError(
            f"Expected '{key}._target_' to begin with one of {list(ALLOWED_TARGETS)} but got {target!r}. "
            "Other code is not run from a configuration."
        )


def _check_node(key: str, node: DictConfig) -> None:
    function = _locate(key, node["_target_"])
    parameters = inspect.signature(function).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if not open_ended:
        _check_keys(key, node, {*parameters, *_HYDRA_KEYS})
    hints = _annotations(function)
    for name in map(str, node):
        value = _plain(node, name)
        nested = isinstance(value, Mapping) and "_target_" in value
        if name not in _HYDRA_KEYS and name in hints and not nested:
            _check_value(f"{key}.{name}", value, hints[name])


def _locate(key: str, target: str) -> Callable[..., object]:
    """The class or function that a dotted name stands for."""
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., object] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Expected something that exists as '{key}._target_' but got '{target}' ({error}).") from error
    return found


def _annotations(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError):  # a library's annotations that cannot be read outside its type checker
        return {}


def _plain(node: DictConfig, name: str) -> Any:  # noqa: ANN401  # any YAML value
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
        admitted = not _lookalike(value, annotation)
    except TypeCheckError:
        admitted = False
    if not admitted:
        raise ValueError(f"Expected {_in_words(annotation)} as '{key}' but got {value!r}. Correct the value.")


def _lookalike(value: object, annotation: object) -> bool:
    """Whether only Python takes the value for what is meant: True for an int, text for a list of texts."""
    kinds = typing.get_args(annotation) or (annotation,)
    if isinstance(value, bool):
        return not any(kind in (bool, Any, object) or isinstance(kind, bool) for kind in kinds)
    members = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    listed = any(typing.get_origin(member) is Sequence for member in members)
    return isinstance(value, str) and listed and str not in members


def _in_words(annotation: object) -> str:
    """An annotation as a configuration's user would put it."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    for long, short in (("typing.", ""), ("collections.abc.", ""), ("NoneType", "null"), ("None", "null")):
        text = text.replace(long, short)
    return text
