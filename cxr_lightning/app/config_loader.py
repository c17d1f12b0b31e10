"""Hydra's loader of configurations, within bounds and with its own part checked.

Whatever composes a configuration does it by this loader: the checks before a start, Hydra itself, and every job of a
sweep, also in other processes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from hydra._internal import hydra as hydra_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ConfigDefault, GroupDefault, InputDefault, ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.hydra_folders import check_visible
from cxr_lightning.app.hydra_settings import check_hydra_files, check_hydra_settings
from cxr_lightning.app.references import check_references, plain_content
from cxr_lightning.app.yaml_files import parse_yaml, read_text
from cxr_lightning.utils.command_line import override_key
from cxr_lightning.utils.plain_text import one_line_reason, shorten

MAX_FILES = 500
"""Maximum number of files of one configuration, each as often as others name it."""
MAX_CHARACTERS = 1_000_000
"""Maximum number of characters of all files that are read; YAML is parsed at some 50,000 in a second."""
MAX_FOLDERS = 20
_MAX_NAME_LENGTH = 200
"""Maximum number of characters of a choice in a defaults list."""
_MAX_JOINED_NAMES = 8
"""Maximum number of choices that are joined from several others."""
_LOADER = "ConfigLoaderImpl"
_FROM_SETTINGS = "hydra.searchpath"
"""Start of Hydra's name for who named a folder of configuration files, where a setting did."""
_KEYS_OF_STORAGE = ("hydra.sweeper.storage", "hydra.sweeper", "hydra")
"""Keys of the command line that set where a search is stored; a choice of ``hydra/sweeper`` does not."""
_CONFUSED = (AttributeError, KeyError, IndexError, TypeError, AssertionError, RecursionError, re.error)
"""Exceptions of Hydra and OmegaConf for settings of a shape that they do not expect."""


@contextmanager
def checked_loader() -> Iterator[None]:
    """Within the block, Hydra composes configurations by :class:`CheckedConfigLoader`."""
    outer = getattr(hydra_module, _LOADER)
    setattr(hydra_module, _LOADER, CheckedConfigLoader)
    try:
        yield
    finally:
        setattr(hydra_module, _LOADER, outer)


class CheckedConfigLoader(ConfigLoaderImpl):
    """Compose a configuration; refuse what names other code, or would exhaust the machine.

    Args:
        config_search_path: The places of configuration files.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = _BoundedRepository(config_search_path)

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a configuration.

        Raises:
            ValueError: If it is refused.
            HydraException: If it cannot be composed.
        """
        try:
            config = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        except _CONFUSED as error:
            reason = f"{type(error).__name__}: {one_line_reason(error)}"
            raise ValueError(f"Expected settings that Hydra can compose but: {reason}. Correct them.") from error
        check_references(plain_content(config))
        is_storage_given = any(override_key(override) in _KEYS_OF_STORAGE for override in overrides)
        check_hydra_settings(config, is_job=run_mode == RunMode.RUN, is_storage_given=is_storage_given)
        return config

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed = OverridesParser.create().parse_overrides(overrides=overrides)
        repository = _CountingRepository(self.repository)
        self._process_config_searchpath(config_name, parsed, repository)
        return parsed, repository

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        primary = None if config_name is None else repo.load_config(config_path=config_name)
        if primary is not None:  # its list of folders is resolved before anything is composed
            check_references(plain_content(primary.config))
        super()._process_config_searchpath(config_name, parsed_overrides, repo)

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: Any) -> DictConfig:  # noqa: ANN401
        config: DictConfig = super()._compose_config_from_defaults_list(defaults, repo)
        content = plain_content(config)
        check_hydra_files(content)
        check_references(content)  # before overrides, which resolve what they replace
        return config


class _BoundedRepository(ConfigRepository):
    """Hydra's configuration files, of folders that settings name and of packages that are installed."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Read the places of the files.

        Raises:
            ValueError: If a setting names a package, which would be imported, or too many places.
        """
        places = config_search_path.get_path()
        named = [str(place.path) for place in places if str(place.provider).startswith(_FROM_SETTINGS)]
        if other := [path for path in named if "://" in path and not path.startswith("file://")]:
            raise ValueError(f"Expected folders in 'hydra.searchpath' but got the package '{other[0]}'. Name a folder.")
        if len(named) > MAX_FOLDERS:
            raise ValueError(
                f"Expected at most {MAX_FOLDERS} folders in 'hydra.searchpath' but got {len(named)}. Name fewer."
            )
        super().initialize_sources(config_search_path)
        self._bound_sources()

    def _bound_sources(self) -> None:
        lengths: dict[Path, int] = {}
        self.sources = [
            _BoundedSource(source.provider, f"file://{source.path}", lengths) if source.scheme() == "file" else source
            for source in self.sources
        ]

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        """Copy with fresh bounds: Hydra copies the repository for every composition, and its sources are long."""
        other = copy(self)
        other._bound_sources()
        return other


class _BoundedSource(FileConfigSource):
    """A folder of configuration files, which are read within bounds.

    Args:
        provider: Who named the folder.
        path: The folder as a URL.
        lengths: Numbers of characters of the files that have been read, from all folders.
    """

    def __init__(self, provider: str, path: str, lengths: dict[Path, int]) -> None:
        super().__init__(provider, path)
        self.lengths = lengths

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file.

        Raises:
            ValueError: If it is no file of settings.
        """
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        text = read_text(path)
        self.lengths[path] = len(text)
        if sum(self.lengths.values()) > MAX_CHARACTERS:
            raise ValueError(
                f"Expected at most {MAX_CHARACTERS:,} characters of settings in all files but there are more, the last "
                f"of them in '{path}'. Name fewer files."
            )
        config = deepcopy(_parse_file(text, path))
        return ConfigResult(self.provider, f"file://{self.path}", config, self._get_header_dict(text[:512]))


@lru_cache(maxsize=64)
def _parse_file(text: str, path: Path) -> DictConfig:
    """The settings of a file, which is parsed once: a start composes its configuration three times."""
    content = parse_yaml(text, path)
    if isinstance(content, list):
        raise ValueError(f"Expected a mapping of settings in '{path}' but it is a list. Correct it.")
    if (wrong := next((key for key in content or {} if not isinstance(key, str)), None)) is not None:
        raise ValueError(f"Expected names of settings in '{path}' but got {wrong!r}. Correct it, or quote it.")
    try:
        return OmegaConf.create(content or {})
    except (OmegaConfBaseException, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"Expected settings in '{path}' but: {reason}. Correct it.") from error


class _CountingRepository(CachingConfigRepository):
    """The files of one configuration, of which there may be no more than a bound."""

    def __init__(self, delegate: ConfigRepository) -> None:
        super().__init__(delegate)
        self.files = 0
        self.joined_names = 0

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Load a file, or give it again.

        Raises:
            ValueError: If its defaults list is none, or it is outside the folders of settings.
            HydraException: If there are more files than a configuration has.
        """
        if ".." in Path(config_path).parts:
            raise ValueError(f"Expected a choice below the folders of settings but got '{config_path}'. Correct it.")
        self.files += 1
        is_new = f"config_path={config_path}" not in self.cache
        try:
            found = super().load_config(config_path)
        except ValueError as error:
            if str(error).startswith("Expected"):
                raise
            raise ValueError(
                f"Expected names of files as 'defaults' in '{config_path}' but: {error}. Correct it."
            ) from error
        if found is not None and is_new:
            for default in found.defaults_list or []:
                self._check_default(default, config_path)
        if self.files > 4 * MAX_FILES:  # Hydra asks for a file up to four times
            raise HydraException(
                f"Expected at most {MAX_FILES} files in a configuration but there are more, the last of them "
                f"'{config_path}'. Remove some from the defaults lists."
            )
        return found

    def _check_default(self, default: InputDefault, config_path: str) -> None:
        value = default.value if isinstance(default, GroupDefault) else None
        names = [value] if isinstance(value, str) else list(value or [])
        names += [default.group or ""] if isinstance(default, GroupDefault) else []
        names += [default.path or ""] if isinstance(default, ConfigDefault) else []
        for name in filter(None, [*names, default.package]):
            check_visible(f"{config_path}: defaults", name)
            if len(name) > _MAX_NAME_LENGTH or name.count("${") > 2:
                raise ValueError(
                    f"Expected names of at most {_MAX_NAME_LENGTH} characters with two ${{...}} in the defaults list "
                    f"of '{config_path}' but got '{shorten(name, 50)}'. Correct it."
                )
            self.joined_names += name.count("${") == 2
        if self.joined_names > _MAX_JOINED_NAMES:
            raise ValueError(
                f"Expected at most {_MAX_JOINED_NAMES} choices of several ${{...}} in defaults lists but more are "
                f"there, the last in '{config_path}'. Write them out."
            )
