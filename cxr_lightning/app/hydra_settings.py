"""Checks of Hydra's own part of a configuration: it runs no code but what is listed, and writes into its own folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.hydra_environment import check_environment
from cxr_lightning.app.hydra_folders import JOB_FOLDER, OUTPUT_FOLDER, RUN_FOLDER, SWEEP_FOLDER, check_visible
from cxr_lightning.app.hydra_logging import check_logging
from cxr_lightning.app.hydra_targets import check_targets
from cxr_lightning.app.references import plain_content

_OUTPUT_SUBDIR = "${hydra_folder:${hydra.runtime.output_dir}}"
"""The value of ``hydra.output_subdir`` in ``conf/``: a folder of its own for each start."""
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
_UNSET: tuple[object, ...] = (MISSING, None, {}, [])
_OF_LINES = ("hydra.help", "hydra.hydra_help")
"""Sections with texts of several lines."""


def check_hydra_settings(config: DictConfig) -> None:
    """Refuse Hydra's settings that name other code, change its environment, or write elsewhere than into its folder.

    Args:
        config: The composed configuration, with Hydra's.

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
    """Refuse names and texts that hide characters."""
    if isinstance(content, dict):
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
    copy = OmegaConf.create(content)
    state = HydraConfig.instance()
    outer = state.cfg
    state.cfg = copy  # type: ignore[assignment]  # as Hydra does
    try:
        yield copy
    finally:
        state.cfg = outer


def _section(config: DictConfig, name: str) -> Mapping[Any, Any] | None:
    """A section of Hydra's settings as plain values, resolved; None if it has none."""
    try:
        node = OmegaConf.select(config, f"hydra.{name}")
        if node is None:
            return None
        if not isinstance(node, DictConfig):
            raise ValueError(f"Expected settings as 'hydra.{name}' but got {node!r}. Leave it out.")
        found: Any = OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected 'hydra.{name}' to be complete but: {reason}. Correct it.") from error
    return found if isinstance(found, dict) else None
