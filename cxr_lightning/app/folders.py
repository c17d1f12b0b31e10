"""The folders that a program writes to, and the settings that move them."""

import os
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.part_folders import PART_GROUPS, part_folders
from cxr_lightning.utils.write_errors import explain_write_error, is_disk_full

_RUN = "`paths.log_dir` (CXR_LOG_DIR in the environment) or `hydra.run.dir` (of a sweep: `hydra.sweep.dir`) moves it."
_CACHE = "`paths.cache_dir` (CXR_CACHE_DIR in the environment) moves it."


def explain_folder_error(error: Exception, config: DictConfig | None = None, folder: Path | None = None) -> Exception:
    """Convert the error of a file that cannot be written into one that names the setting which moves it.

    Args:
        error: An exception; one that is about something else is returned unchanged.
        config: The job's configuration; None for an error of Hydra, which writes the run's folder alone.
        folder: What is named where the system does not name the file, if it is there or else its parent.
    """
    raised = error.__cause__ if isinstance(error, HydraException) or _is_of_logging(error) else error
    if not isinstance(raised, OSError):
        return error
    if folder is not None and raised.filename is None and is_disk_full(raised):
        raised.filename = str(next((path for path in (folder, *folder.parents) if path.exists()), folder))
    explained = explain_write_error(raised, {os.sep: _RUN} if config is None else _places(config))
    return error if explained is raised else explained


def _is_of_logging(error: Exception) -> bool:
    """Whether the log file of a run could not be opened."""
    return isinstance(error, ValueError) and str(error).startswith("Unable to configure handler")


def _places(config: DictConfig) -> dict[str, str]:
    """What moves the files in a folder, by the folder."""
    output_dir = HydraConfig.get().runtime.output_dir
    places = {output_dir: _RUN, str(config.paths.log_dir): _RUN, str(config.paths.cache_dir): _CACHE}
    groups = {name: config.get(name) for name in PART_GROUPS}
    plain = {
        name: OmegaConf.to_container(node, resolve=True) for name, node in groups.items() if OmegaConf.is_dict(node)
    }
    data = Path(str(OmegaConf.select(config, "data.root"))).absolute()
    for key, folder in part_folders(plain, output_dir).items():
        if not data.is_relative_to(folder):  # what is in a folder that holds the data too may be read
            places.setdefault(str(folder), f"`{key}` moves it.")
    return places
