"""A training that is started from Python rather than from the command line."""

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cxr_lightning.app.configuration import conf_folder
from cxr_lightning.app.job_processes import has_several_processes
from cxr_lightning.app.train_program import run_train_program
from cxr_lightning.training.trained_run import TrainedRun
from cxr_lightning.utils.determinism import kept_determinism

_NAME = "train"


def run_in_python(overrides: Sequence[str]) -> TrainedRun:
    """Run one training as Hydra does for train.py, without its log files; within ``configuration.own_hydra``.

    Args:
        overrides: Settings, ``key=value``.

    Returns:
        The finished run.

    Raises:
        ValueError: If a setting or the data is wrong, or the settings are of a sweep or of several processes.
    """
    hydra = Hydra.create_main_hydra2(_NAME, create_config_search_path(str(conf_folder())))
    given = list(overrides)
    composed = hydra.compose_config(_NAME, given, RunMode.RUN, with_log_configuration=False)
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise ValueError("Expected one run in Python but these settings are a search. Use the command: cxr train.")
    with kept_determinism():
        folder: Path = hydra.run(_NAME, _run_one, given, with_log_configuration=False).return_value
    return TrainedRun.read(folder)


def _run_one(config: DictConfig) -> Path:
    if has_several_processes(config):
        raise ValueError(
            "Expected one device and one node in Python: others run the whole script again. Use the command: cxr train."
        )
    run_train_program(config, show=False)
    return Path(HydraConfig.get().runtime.output_dir)
