"""What Hydra itself makes from a configuration, checked before Hydra starts: it does so before any job of ours."""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

ALLOWED_TARGETS = (
    r"cxr_lightning\.app\.sweep\.RememberFolder",
    r"hydra\._internal\.core_plugins\.\w+\.Basic(Launcher|Sweeper)",
    r"hydra\.experimental\.callbacks\.\w+Callback",
    r"hydra_plugins\.\w+\.\w+\.\w+(Launcher|Sweeper)",
    r"optuna\.samplers\.\w+Sampler",
)
"""What may be named as ``_target_`` below ``hydra``, as regular expressions."""
_LOGGING_CLASSES = (r"logging(\.handlers)?\.\w+(Handler|Formatter|Filter)",)
_LOGGING_FACTORIES = (r"colorlog\.ColoredFormatter",)
_STREAMS = (r"ext://sys\.std(out|err)",)

_MADE = ("callbacks", "launcher", "sweeper")
_LOGGING = ("hydra_logging", "job_logging")


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
    if list(arguments) in (["--help"], ["-h"]):  # for a quick answer: nothing is chosen, and nothing made
        return
    parsed = get_args_parser().parse_args(list(arguments))
    if parsed.shell_completion:
        return
    if parsed.experimental_rerun:
        raise ValueError("Expected no --experimental-rerun: Hydra would run code from that file. Give the settings.")
    if parsed.config_path and "://" in parsed.config_path:
        raise ValueError(f"Expected a folder as --config-path but got '{parsed.config_path}'. Give a folder.")
    folder = conf.parent / parsed.config_path if parsed.config_path else conf  # Hydra's own rule
    with initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=name):
        for overrides in _each_choice(parsed):
            config = compose(parsed.config_name or name, overrides, return_hydra_config=True)
            _check_made(config)
            _check_logging(config)


def _each_choice(parsed: argparse.Namespace) -> Iterator[list[str]]:
    """Command lines of single jobs in which every choice of a sweep is made once."""
    loader = GlobalHydra.instance().config_loader()
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(parsed.overrides)
    more = []
    if parsed.config_dir:
        if any(override.key_or_group == "hydra.searchpath" for override in overrides):
            raise ValueError("Expected either --config-dir or hydra.searchpath but got both. Give one.")
        more = [f"hydra.searchpath=[file://{Path(parsed.config_dir).absolute()}]"]
    choices = [list(_choices(override)) for override in overrides]
    first = [of[0] for of in choices]
    yield [*first, *more]
    for place, of in enumerate(choices):
        for choice in of[1:]:
            yield [*first[:place], choice, *first[place + 1 :], *more]


def _choices(override: Override) -> Iterator[str]:
    """The values of a sweep, of numbers only the first: they choose no files."""
    if not override.is_sweep_override():
        yield str(override.input_line)
        return
    if not override.is_discrete_sweep():
        yield f"{override.get_key_element()}={override.value().start}"  # type: ignore[union-attr]
        return
    for place, value in enumerate(override.sweep_string_iterator()):
        if place == 0 or not _is_number(str(value)):
            yield f"{override.get_key_element()}={value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_made(config: DictConfig) -> None:
    for key, value in _leaves(OmegaConf.to_container(config.hydra), "hydra"):
        if key.endswith("._target_") and "${" not in str(value):
            _check_name(key, value, ALLOWED_TARGETS)
    for part in _MADE:
        node = config.hydra.get(part)
        if node is None:
            continue
        try:
            content = OmegaConf.to_container(node, resolve=True)
        except OmegaConfBaseException as error:
            raise ValueError(f"Expected 'hydra.{part}' to be complete but: {error}") from error
        for key, value in _leaves(content, f"hydra.{part}"):
            if key.endswith("._target_"):
                _check_name(key, value, ALLOWED_TARGETS)
            if key.endswith(".custom_search_space") and value is not None:
                _check_name(key, value, ("null",))
            if re.match(r"hydra\.sweeper\.params\.[+~]*hydra\b", key):
                raise ValueError(f"Expected a search over settings but got '{key}'. Leave Hydra's own out.")


def _check_logging(config: DictConfig) -> None:
    """Python makes handlers and formatters from such settings by name."""
    for part in _LOGGING:
        for key, value in _leaves(OmegaConf.to_container(config.hydra[part]), f"hydra.{part}"):
            if key.endswith(".class"):
                _check_name(key, value, _LOGGING_CLASSES)
            elif key.endswith(".()"):
                _check_name(key, value, _LOGGING_FACTORIES)
            elif "://" in str(value):
                _check_name(key, value, _STREAMS)


def _check_name(key: str, value: object, allowed: Sequence[str]) -> None:
    if not any(re.fullmatch(pattern, str(value)) for pattern in allowed):
        raise ValueError(
            f"Expected '{key}' to be one of {list(allowed)} but got {value!r}. "
            "Other code is not run from a configuration."
        )


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # any YAML value
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}")
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from _leaves(value, f"{key}[{place}]")
    else:
        yield key, content
