"""Checks of the objects that Hydra itself instantiates from a configuration, before Hydra starts."""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.composition import compose_checked
from cxr_lightning.app.hydra_parser import unchecked_help_texts
from cxr_lightning.utils.command_line import hydra_value
from cxr_lightning.utils.paths import refuse_url
from cxr_lightning.utils.plugins import PLUGINS_VARIABLE

HYDRA_TARGETS = (
    r"cxr_lightning\.app\.sweep\.RememberFolder",
    r"hydra\._internal\.core_plugins\.\w+\.Basic(Launcher|Sweeper)",
    r"hydra\.experimental\.callbacks\.\w+Callback",
    r"hydra_plugins\.\w+\.\w+\.\w+(Launcher|Sweeper)",
    r"optuna\.samplers\.\w+Sampler",
)
"""Targets that are allowed below ``hydra``, as regular expressions."""
_LOGGING_CLASSES = (
    r"cxr_lightning\.utils\.console_log\.ConsoleHandler",
    r"logging(\.handlers)?\.\w+(Handler|Formatter|Filter)",
)
_LOGGING_FACTORIES = (r"colorlog\.ColoredFormatter",)
_STREAMS = (r"ext://sys\.std(out|err)",)

_INSTANTIATED_SECTIONS = ("callbacks", "launcher", "sweeper")
_LOGGING_SECTIONS = ("hydra_logging", "job_logging")


@dataclass(frozen=True)
class FirstJob:
    """What a command line starts.

    Attributes:
        config: The composed configuration, with Hydra's; of a sweep that of its first job.
        sweep: Whether it is a sweep.
    """

    config: DictConfig
    sweep: bool


def check_hydra(conf: Path, name: str, arguments: Sequence[str]) -> FirstJob | None:
    """Refuse a command line or a file of ``conf/`` that makes Hydra run other code than a launcher's or a sweeper's.

    Args:
        conf: The configuration's folder.
        name: Name of the file in it.
        arguments: The command line without the program.

    Returns:
        What it starts; None if it only shows something.

    Raises:
        ValueError: If it names other code, or keys and choices that do not exist; the message names them.
        HydraException: If the configuration cannot be composed.
    """
    if list(arguments) in (["--help"], ["-h"]):  # nothing is instantiated, and help should be quick
        return None
    parsed = _parser().parse_args(list(arguments))
    if parsed.shell_completion:
        return None
    if parsed.experimental_rerun:
        raise ValueError("Expected no --experimental-rerun: Hydra would run code from that file. Give the settings.")
    if parsed.config_path:
        refuse_url(parsed.config_path, "a folder as --config-path", "Give a folder.")
    folder = Path(parsed.config_path).absolute() if parsed.config_path else conf
    if wrong := next((text for text in parsed.overrides if re.match(r"\+*hydra\.searchpath=.*pkg:", text)), None):
        raise ValueError(f"Expected folders in 'hydra.searchpath' but got {wrong}. Packages are imported by that.")
    with initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=name):
        configs = [
            compose_checked(parsed.config_name or name, overrides, return_hydra_config=True)
            for overrides in _single_jobs(parsed)
        ]
    for config in configs:
        _check_targets(config)
        _check_logging(config)
        _check_environment(config)
    if parsed.help or parsed.hydra_help or parsed.cfg or parsed.info:
        return None
    return FirstJob(configs[0], parsed.multirun or configs[0].hydra.mode == RunMode.MULTIRUN)


def search_path_override(folder: Path) -> str:
    """The override that adds a folder to the places of configuration files.

    Args:
        folder: The folder, whose name may hold any character.
    """
    return f"hydra.searchpath={hydra_value([f'file://{folder.absolute()}'])}"


def absolute_config_path(arguments: Sequence[str]) -> list[str]:
    """The command line with an absolute ``--config-path``: relative to the current folder, as users expect.

    Args:
        arguments: The command line without the program.
    """
    path = _parser().parse_known_args(list(arguments))[0].config_path
    if not path or "://" in path:
        return list(arguments)
    return [*arguments, "--config-path", str(Path(path).absolute())]  # the last one counts


def _parser() -> argparse.ArgumentParser:
    with unchecked_help_texts():
        parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # as all other mistakes: one line, and no usage
    return parser


def _refuse(message: str) -> NoReturn:
    raise ValueError(f"Expected settings as KEY=VALUE, or options of Hydra, but: {message}. See --help.")


def _single_jobs(parsed: argparse.Namespace) -> Iterator[list[str]]:
    """Overrides of single jobs that together contain every choice of a sweep."""
    loader = GlobalHydra.instance().config_loader()
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(parsed.overrides)
    search_path = []
    if parsed.config_dir:
        if any(override.key_or_group == "hydra.searchpath" for override in overrides):
            raise ValueError("Expected either --config-dir or hydra.searchpath but got both. Give one.")
        search_path = [search_path_override(Path(parsed.config_dir))]
    choices = [list(_alternatives(override)) for override in overrides]
    first_choices = [alternatives[0] for alternatives in choices]
    yield [*first_choices, *search_path]
    for index, alternatives in enumerate(choices):
        for choice in alternatives[1:]:
            yield [*first_choices[:index], choice, *first_choices[index + 1 :], *search_path]


def _alternatives(override: Override) -> Iterator[str]:
    """The alternatives of an override; of numbers only the first, since they select no files."""
    if not override.is_sweep_override():
        yield str(override.input_line)
        return
    if not override.is_discrete_sweep():
        yield f"{override.get_key_element()}={override.value().start}"  # type: ignore[union-attr]
        return
    for index, value in enumerate(override.sweep_string_iterator()):
        if index == 0 or not _is_number(str(value)):
            yield f"{override.get_key_element()}={value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_targets(config: DictConfig) -> None:
    for key, value in _leaves(OmegaConf.to_container(config.hydra), "hydra"):
        if key.endswith("._target_") and "${" not in str(value):
            _check_name(key, value, HYDRA_TARGETS)
    for section in _INSTANTIATED_SECTIONS:
        node = config.hydra.get(section)
        if node is None:
            continue
        try:
            content = OmegaConf.to_container(node, resolve=True)
        except OmegaConfBaseException as error:
            raise ValueError(f"Expected 'hydra.{section}' to be complete but: {error}") from error
        for key, value in _leaves(content, f"hydra.{section}"):
            if key.endswith("._target_"):
                _check_name(key, value, HYDRA_TARGETS)
            if key.endswith(".custom_search_space") and value is not None:
                _check_name(key, value, ("null",))
            if re.match(r"hydra\.sweeper\.params\.[+~]*hydra\b", key):
                raise ValueError(f"Expected a search over settings but got '{key}'. Leave Hydra's own settings out.")


def _check_logging(config: DictConfig) -> None:
    """Check the handlers and formatters that Python's ``logging.config`` instantiates by name."""
    for section in _LOGGING_SECTIONS:
        for key, value in _leaves(OmegaConf.to_container(config.hydra[section]), f"hydra.{section}"):
            if key.endswith(".class"):
                _check_name(key, value, _LOGGING_CLASSES)
            elif key.endswith(".()"):
                _check_name(key, value, _LOGGING_FACTORIES)
            elif "://" in str(value):
                _check_name(key, value, _STREAMS)


def _check_environment(config: DictConfig) -> None:
    """Refuse to extend the list of trusted packages, which is read from the environment."""
    if PLUGINS_VARIABLE in config.hydra.job.env_set:
        raise ValueError(
            f"Expected no {PLUGINS_VARIABLE} in 'hydra.job.env_set': a configuration trusts no packages. Set it in the "
            "environment of the program."
        )


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
        for index, value in enumerate(content):
            yield from _leaves(value, f"{key}[{index}]")
    else:
        yield key, content
