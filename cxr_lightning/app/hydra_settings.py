"""Checks of Hydra's own part of a configuration: it runs no code but what is listed, and writes into its own folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.hydra_environment import check_environment
from cxr_lightning.app.hydra_folders import (
    JOB_FOLDER,
    OUTPUT_FOLDER,
    RUN_FOLDER,
    SWEEP_FOLDER,
    check_job_name,
    check_visible,
)
from cxr_lightning.app.hydra_logging import check_logging
from cxr_lightning.app.hydra_targets import check_storage, check_targets
from cxr_lightning.app.references import plain_content

_OUTPUT_SUBDIR = "${hydra_folder:${hydra.runtime.output_dir}}"
"""The value of ``hydra.output_subdir`` in ``conf/``: a folder of its own for each start."""
_JOB_FOLDER = "${job_folder:${hydra.job.num},${hydra.sweep.dir},${resume}}"
"""The value of ``hydra.sweep.subdir`` in ``conf/``; it makes a folder, so that it is not resolved here."""
_GIVEN_SUBDIR = "given_subdir"
"""Name that the given ``hydra.sweep.subdir`` has beside the one that takes its place."""
_LOGGING = ("hydra_logging", "job_logging")
_SECTIONS = ("callbacks", "launcher", "sweeper")
_SET_IN_JOBS = ("job.id", "job.num", "runtime.output_dir")
"""Settings that Hydra sets when a job begins, after the checks."""
_SET_AT_START = (
    *("runtime.version", "runtime.version_base", "runtime.cwd", "runtime.config_sources", "runtime.choices"),
    *("job.override_dirname", "job.config_name", "overrides.hydra", "overrides.task"),
)
"""Settings that Hydra sets when it has read all files."""
_GIVEN = "hydra.job.override_dirname"
"""The overrides of the command line, repeated by Hydra."""
_MAX_LOGGERS = 100
_UNSET: tuple[object, ...] = (MISSING, None, {}, [])
_OF_LINES = ("hydra.help", "hydra.hydra_help")
"""Sections with texts of several lines."""


def check_hydra_settings(config: DictConfig, *, is_job: bool = True, is_storage_given: bool = False) -> None:
    """Refuse Hydra's settings that name other code, change its environment, or write elsewhere than into its folder.

    Args:
        config: The composed configuration, with Hydra's.
        is_job: Whether it is of one job, not of a sweep, whose folder is none of a job.
        is_storage_given: Whether the command line names the database of a search, so that it may be anywhere.

    Raises:
        ValueError: If they do; the message names the setting.
    """
    content = plain_content(config)
    hydra = _hydra_of(content)
    _check_unset(hydra, _SET_IN_JOBS)
    for name, node in hydra.items():
        if name not in ("runtime", "overrides"):  # what Hydra has found, and what was given
            _check_texts(f"hydra.{name}", node)
    if hydra.get("output_subdir") not in (None, _OUTPUT_SUBDIR):
        raise ValueError(
            f"Expected no 'hydra.output_subdir' but got {hydra['output_subdir']!r}: the records of earlier starts are "
            "kept. Leave it out, or set it to null."
        )
    with _resolved(content) as resolved:
        check_targets({name: _section(resolved, name) for name in _SECTIONS})
        for name in _LOGGING:
            check_logging(f"hydra.{name}", _section(resolved, name))
        check_environment(_section(resolved, "job.env_set"))
        _check_verbose(_value(resolved, "verbose"))
        if not is_storage_given:
            check_storage(_value(resolved, "sweeper.storage"))
        if is_job:
            check_job_name("hydra.sweep.subdir", _value(resolved, f"sweep.{_GIVEN_SUBDIR}"))


def check_hydra_files(content: dict[Any, Any]) -> None:
    """Refuse files that give what Hydra itself sets, such as the number of a job.

    Args:
        content: The files of a configuration as plain values, unresolved, before overrides.

    Raises:
        ValueError: If they do; the message names the setting.
    """
    _check_unset(_hydra_of(content), (*_SET_IN_JOBS, *_SET_AT_START))


def _hydra_of(content: dict[Any, Any]) -> dict[Any, Any]:
    hydra: Any = content.get("hydra")
    if not isinstance(hydra, dict):
        raise ValueError(f"Expected Hydra's settings as 'hydra' but got {hydra!r}. Leave them out.")
    return hydra


def _check_unset(hydra: dict[Any, Any], keys: Sequence[str]) -> None:
    for key in keys:
        section, _, name = key.partition(".")
        node = hydra.get(section)
        if not isinstance(node, dict):
            raise ValueError(f"Expected settings as 'hydra.{section}' but got {node!r}. Leave it out.")
        if node.get(name) not in _UNSET:
            raise ValueError(
                f"Expected no 'hydra.{key}' but got {str(node[name])[:200]!r}: Hydra sets it. Leave it out."
            )


def _check_texts(key: str, content: object) -> None:
    """Refuse names and texts that hide characters, and names of code where Hydra makes nothing of it."""
    if isinstance(content, dict):
        if "_target_" in content and key.split(".")[1] not in _SECTIONS:
            raise ValueError(
                f"Expected no '_target_' in '{key}' but got {str(content['_target_'])[:200]!r}. Other code is not run "
                "from a configuration. Leave it out."
            )
        for name, value in content.items():
            check_visible(key, str(name))
            _check_texts(f"{key}.{name}", value)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            _check_texts(f"{key}[{index}]", value)
    elif isinstance(content, str) and key != _GIVEN:
        check_visible(key, content, lines=key.startswith(_OF_LINES))


@contextmanager
def _resolved(content: dict[Any, Any]) -> Iterator[DictConfig]:
    """A copy of a configuration, in which what Hydra chooses later has a value, also for ``${hydra:...}``."""
    hydra = content["hydra"]
    sweep = hydra.get("sweep")
    given = sweep.get("subdir") if isinstance(sweep, dict) else None
    for parts, value in (
        (("runtime", "output_dir"), OUTPUT_FOLDER),
        (("run", "dir"), RUN_FOLDER),
        (("sweep", "dir"), SWEEP_FOLDER),
        (("sweep", "subdir"), JOB_FOLDER),
        (("job", "num"), 0),
        (("job", "id"), "job"),
    ):
        section = hydra.get(parts[0])
        if not isinstance(section, dict):
            raise ValueError(f"Expected settings as 'hydra.{parts[0]}' but got {section!r}. Leave it out.")
        section[parts[1]] = value
    hydra["sweep"][_GIVEN_SUBDIR] = JOB_FOLDER if given in (_JOB_FOLDER, MISSING) else given
    copy = OmegaConf.create(content)
    state = HydraConfig.instance()
    outer = state.cfg
    state.cfg = copy  # type: ignore[assignment]  # as Hydra does
    try:
        yield copy
    finally:
        state.cfg = outer


def _check_verbose(verbose: object) -> None:
    """Refuse what are no names of loggers, whose level Hydra then changes."""
    names = [verbose] if isinstance(verbose, str) else verbose
    is_list = isinstance(names, list) and len(names) <= _MAX_LOGGERS and all(isinstance(name, str) for name in names)
    if not isinstance(verbose, bool) and not is_list:
        raise ValueError(
            f"Expected true, false or at most {_MAX_LOGGERS} names of loggers as 'hydra.verbose' but got "
            f"{str(verbose)[:200]!r}. Correct it."
        )


def _section(config: DictConfig, name: str) -> Mapping[Any, Any] | None:
    """A section of Hydra's settings as plain values, resolved; None if it has none."""
    found = _value(config, name)
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"Expected settings as 'hydra.{name}' but got {found!r}. Leave it out.")
    return found


def _value(config: DictConfig, name: str) -> object:
    """One of Hydra's settings as a plain value, resolved; None if there is none."""
    try:
        found = OmegaConf.select(config, f"hydra.{name}")
        return OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected 'hydra.{name}' to be complete but: {reason}. Correct it.") from error
