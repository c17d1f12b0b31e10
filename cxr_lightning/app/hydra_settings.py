"""Checks of Hydra's own part of a configuration: it runs no code but what is listed, and writes into its own folder."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.hydra_environment import check_environment
from cxr_lightning.app.hydra_logging import check_logging
from cxr_lightning.app.hydra_targets import check_no_other_targets, check_targets
from cxr_lightning.app.references import plain_content

RUN_FOLDER = f"/{secrets.token_hex(8)}"
"""Stands for the folder of a run, or of a sweep's job, which Hydra chooses later; nobody else can write it down."""
SWEEP_FOLDER = f"/{secrets.token_hex(8)}"
_OUTPUT_SUBDIR = "${hydra_folder:${hydra.runtime.output_dir}}"
"""The value of ``hydra.output_subdir`` in ``conf/``: a folder of its own for each start."""
_LOGGING = ("hydra_logging", "job_logging")
_SECTIONS = ("callbacks", "launcher", "sweeper")


def check_hydra_settings(config: DictConfig) -> None:
    """Refuse Hydra's settings that name other code, change its environment, or write elsewhere than into its folder.

    Args:
        config: The composed configuration, with Hydra's.

    Raises:
        ValueError: If they do; the message names the setting.
    """
    content = plain_content(config)
    hydra: Any = content.get("hydra")
    if not isinstance(hydra, dict):
        raise ValueError(f"Expected Hydra's settings as 'hydra' but got {hydra!r}. Leave them out.")
    check_no_other_targets(hydra)
    if hydra.get("output_subdir") not in (None, _OUTPUT_SUBDIR):
        raise ValueError(
            f"Expected no 'hydra.output_subdir' but got {hydra['output_subdir']!r}: the records of earlier starts are "
            "kept. Leave it out, or set it to null."
        )
    with _resolved(content) as resolved:
        check_targets({name: _section(resolved, name) for name in _SECTIONS}, sweep_folder=PurePosixPath(SWEEP_FOLDER))
        for name in _LOGGING:
            check_logging(f"hydra.{name}", _section(resolved, name), folders=(RUN_FOLDER, SWEEP_FOLDER))
        check_environment(_section(resolved, "job.env_set"))


@contextmanager
def _resolved(content: dict[Any, Any]) -> Iterator[DictConfig]:
    """A copy of a configuration, in which what Hydra chooses later has a value, also for ``${hydra:...}``."""
    hydra = content["hydra"]
    for parts, value in (
        (("runtime", "output_dir"), RUN_FOLDER),
        (("run", "dir"), RUN_FOLDER),
        (("sweep", "dir"), SWEEP_FOLDER),
        (("sweep", "subdir"), "job"),
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
