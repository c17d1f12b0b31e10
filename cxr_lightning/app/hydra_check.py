"""What Hydra itself makes from a configuration, checked before Hydra starts: it does so before any job of ours."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

ALLOWED_TARGETS = (
    "cxr_lightning.app.sweep.",
    "hydra._internal.core_plugins.",
    "hydra.experimental.callbacks.",
    "hydra_plugins.",
    "optuna.samplers.",
)
"""Prefixes of what may be named as ``_target_`` below ``hydra``."""

_MADE = ("callbacks", "launcher", "sweeper")
_LOGGING = ("hydra_logging", "job_logging")
_ONLY_TOLD = ("help", "hydra_help", "cfg", "info", "shell_completion")
"""Flags with which Hydra makes nothing."""


def check_hydra(conf: Path, name: str, arguments: Sequence[str]) -> None:
    """Refuse a command line or a file of ``conf/`` that has Hydra run other code than a launcher's or a sweeper's.

    Args:
        conf: The configuration's folder.
        name: Of the file in it.
        arguments: The command line without the program.

    Raises:
        ValueError: If there is such; the message names the key.
        HydraException: If the configuration cannot be composed.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    if any(getattr(parsed, flag) for flag in _ONLY_TOLD):
        return
    folder = Path(parsed.config_path).absolute() if parsed.config_path else conf
    with initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=name):
        for overrides in _each_choice(parsed):
            config = compose(parsed.config_name or name, overrides, return_hydra_config=True)
            _check_made(config)
            _check_logging(config)


def _each_choice(parsed: argparse.Namespace) -> Iterator[list[str]]:
    """Command lines of single jobs in which every choice of a sweep is made once."""
    overrides = OverridesParser.create().parse_overrides(parsed.overrides)
    more = [f"hydra.searchpath=[file://{Path(parsed.config_dir).absolute()}]"] if parsed.config_dir else []
    choices = [list(_choices(override)) for override in overrides]
    first = [of[0] for of in choices]
    yield [*first, *more]
    for place, of in enumerate(choices):
        for choice in of[1:]:
            yield [*first[:place], choice, *first[place + 1 :], *more]


def _choices(override: Override) -> Iterator[str]:
    if not override.is_sweep_override():
        yield str(override.input_line)
    elif override.is_discrete_sweep():
        for value in override.sweep_string_iterator():
            yield f"{override.get_key_element()}={value}"
    else:  # an interval of numbers
        yield f"{override.get_key_element()}={override.value().start}"  # type: ignore[union-attr]


def _check_made(config: DictConfig) -> None:
    for part in _MADE:
        node = config.hydra.get(part)
        if node is None:
            continue
        try:
            content = OmegaConf.to_container(node, resolve=True)
        except OmegaConfBaseException as error:
            raise ValueError(f"Expected 'hydra.{part}' to be complete but: {error}") from error
        for key, value in _leaves(content, f"hydra.{part}"):
            name = key.rpartition(".")[2]
            if name == "_target_" and not str(value).startswith(ALLOWED_TARGETS):
                raise _refusal(key, value, ALLOWED_TARGETS)
            if name == "custom_search_space" and value is not None:
                raise _refusal(key, value, ("null",))


def _check_logging(config: DictConfig) -> None:
    """Python makes handlers and formatters from such settings by name."""
    for part in _LOGGING:
        for key, value in _leaves(OmegaConf.to_container(config.hydra[part]), f"hydra.{part}"):
            name = key.rpartition(".")[2]
            if name == "class" and not str(value).startswith("logging."):
                raise _refusal(key, value, ("logging.",))
            if name == "()" and not str(value).startswith("colorlog."):
                raise _refusal(key, value, ("colorlog.",))
            if "://" in str(value) and not str(value).startswith("ext://sys.std"):
                raise _refusal(key, value, ("ext://sys.stdout", "ext://sys.stderr"))


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # any YAML value
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}")
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from _leaves(value, f"{key}[{place}]")
    else:
        yield key, content


def _refusal(key: str, value: object, allowed: Sequence[str]) -> ValueError:
    return ValueError(
        f"Expected '{key}' to begin with one of {list(allowed)} but got {value!r}. "
        "Other code is not run from a configuration."
    )
