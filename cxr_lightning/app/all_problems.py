"""Everything that is wrong with the settings of a program, also where overrides do not fit its configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name

from omegaconf import OmegaConf

from cxr_lightning.app.composition import WrongOverridesError

_RUN_FOLDER = "run"
"""Stands for the run's folder, which is chosen when Hydra starts."""


@contextmanager
def all_problems_told(name: str) -> Iterator[None]:
    """Within the block, an error about overrides also tells what is wrong with the other settings.

    Args:
        name: Name of the program, and of its file in ``conf/``.

    Raises:
        ValueError: If anything is wrong; all of it in one message.
        ImportError: If a trusted package cannot be imported.
    """
    try:
        yield
    except WrongOverridesError as error:
        if error.choices_are_known and not any("${hydra:" in override for override in error.others):  # Hydra tells it
            _check_others(error, name)
        raise


def _check_others(error: WrongOverridesError, name: str) -> None:
    config = OmegaConf.masked_copy(error.config, [str(key) for key in error.config if key != "hydra"])
    OmegaConf.update(config, "paths.output_dir", _RUN_FOLDER)
    read_settings = resolve_name(f"cxr_lightning.app.{name}_settings:read_{name}_settings")
    read_settings(config, error.others, error.problems)
