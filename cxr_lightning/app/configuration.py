"""The configuration files, and their composition from Python."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from cxr_lightning.app.composition import compose_checked
from cxr_lightning.app.config_loader import checked_loader
from cxr_lightning.app.hydra_check import search_path_override
from cxr_lightning.app.resolvers import register_resolvers

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_folder() -> Path:
    """Folder of the configuration files: in the installed package, or beside the package in a clone."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parent / "conf"


def check_overrides(overrides: Sequence[object]) -> list[str]:
    """Overrides that were given in Python, if each is ``key=value``.

    Raises:
        ValueError: If one is not, such as a flag of the command line.
    """
    if wrong := [text for text in overrides if not isinstance(text, str) or text.startswith("-") or "=" not in text]:
        raise ValueError(
            f"Expected overrides as 'key=value' but got {wrong[0]!r}. Sweeps and other flags are for the command line: "
            "cxr train -m ..."
        )
    return [str(text) for text in overrides]


def search_path(config_dir: str | Path | None) -> list[str]:
    """The override that adds a folder of configuration files, as ``--config-dir`` does; none for None.

    Args:
        config_dir: The folder.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise FileNotFoundError(f"Expected a folder as `config_dir` but there is none at '{config_dir}'.")
    return [search_path_override(Path(config_dir))]


@contextmanager
def own_hydra() -> Iterator[None]:
    """Within the block no other Hydra program is active; afterwards that of the caller, if any, is again."""
    register_resolvers()
    state = GlobalHydra.instance()
    outer = state.hydra
    state.hydra = None
    try:
        with checked_loader():
            yield
    finally:
        GlobalHydra.set_instance(state)  # Hydra's own context manager puts a copy in its place
        state.hydra = outer


def compose_settings(name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a file of ``conf/`` without running a Hydra program.

    Args:
        name: Name of the file.
        overrides: As on the command line, ``key=value``.
    """
    with own_hydra(), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose_checked(name, overrides)
