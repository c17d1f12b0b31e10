"""Checks of a command line for Hydra, before Hydra starts."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.types import RunMode
from omegaconf import DictConfig

from cxr_lightning.app.composition import compose_checked
from cxr_lightning.app.config_loader import checked_loader
from cxr_lightning.app.hydra_parser import unchecked_help_texts
from cxr_lightning.app.sweep_choices import (
    check_number_of_jobs,
    parse_overrides,
    selects_files,
    single_jobs,
    sweeper_overrides,
)
from cxr_lightning.utils.command_line import hydra_value
from cxr_lightning.utils.paths import refuse_url


@dataclass(frozen=True)
class FirstJob:
    """The job that a command line starts, or the first one of its sweep.

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
    if parsed.config_path:
        refuse_url(parsed.config_path, "a folder as --config-path", "Give a folder.")
    if parsed.shell_completion:
        return None
    if parsed.experimental_rerun:
        raise ValueError("Expected no --experimental-rerun: Hydra would run code from that file. Give the settings.")
    folder = Path(parsed.config_path).absolute() if parsed.config_path else conf
    with checked_loader(), initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=name):
        job = _check_jobs(parsed, name)
    return None if parsed.help or parsed.hydra_help or parsed.cfg or parsed.info else job


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


def _check_jobs(parsed: argparse.Namespace, name: str) -> FirstJob:
    """Compose every choice of files in the jobs that a command line starts; the loader checks each."""
    file = parsed.config_name or name
    overrides = parse_overrides(parsed.overrides)
    search_path = []
    if parsed.config_dir:
        if any(override.key_or_group == "hydra.searchpath" for override in overrides):
            raise ValueError("Expected either --config-dir or hydra.searchpath but got both. Give one.")
        search_path = [search_path_override(Path(parsed.config_dir))]
    first_choices, *others = single_jobs(overrides)
    first = compose_checked(file, [*first_choices, *search_path], return_hydra_config=True)
    is_sweep: bool = parsed.multirun or first.hydra.mode == RunMode.MULTIRUN
    if is_sweep:
        searched = sweeper_overrides(first, overrides)
        check_number_of_jobs(first, [*overrides, *searched])
        if selects_files(searched):
            others = list(single_jobs([*overrides, *searched]))
    for job in others:
        compose_checked(file, [*job, *search_path], return_hydra_config=True)
    return FirstJob(first, is_sweep)


def _parser() -> argparse.ArgumentParser:
    with unchecked_help_texts():
        parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # as all other mistakes: one line, and no usage
    return parser


def _refuse(message: str) -> NoReturn:
    is_setting = re.search("unrecognized arguments: [^-]", message)  # which argparse takes before options alone
    advice = "Put options such as -m before the settings" if is_setting else "See --help"
    raise ValueError(f"Expected settings as KEY=VALUE, or options of Hydra, but: {message}. {advice}.")
