"""Jobs of a sweep with several processes each, which Lightning starts with this program's own arguments."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from cxr_lightning.launch import started_from_outside

_FLAGS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
_SET_BY_LIGHTNING = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_ONE_AFTER_ANOTHER = "BasicLauncher"
_ON_A_CLUSTER = "SlurmLauncher"


@contextmanager
def own_processes(config: DictConfig) -> Iterator[None]:
    """Within the block, the processes that Lightning starts do this job alone, in its folder.

    By themselves each would run the whole sweep, and with a search each would try settings of its own.

    Args:
        config: The job's.

    Raises:
        ValueError: If processes are started so that they could not be told.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN or not _has_processes(config):
        yield
        return
    launcher = str(hydra.launcher._target_).rpartition(".")[2]
    if launcher == _ON_A_CLUSTER:  # which starts all processes of a job
        yield
        return
    if launcher != _ONE_AFTER_ANOTHER or started_from_outside():
        raise ValueError(
            "Expected a sweep of jobs with several devices to run one after another (hydra/launcher=basic, and without "
            f"torchrun or srun) or through SLURM (hydra/launcher=submitit_slurm) but got {launcher}. "
            "Or set 'trainer.devices=1'."
        )
    run: Any = hydra.run  # a node, whatever Hydra's annotation says
    arguments, folder = sys.argv, run.dir
    sys.argv = [arguments[0], *_flags(arguments[1:]), *hydra.overrides.task, "hydra.mode=RUN"]
    with read_write(run), open_dict(run):
        run.dir = hydra.runtime.output_dir
    try:
        yield
    finally:
        sys.argv = arguments
        with read_write(run), open_dict(run):
            run.dir = folder
        _forget_processes()


def _has_processes(config: DictConfig) -> bool:
    trainer = config.get("trainer", {"devices": config.get("devices", 1), "num_nodes": 1})
    return bool(trainer["devices"] != 1 or trainer["num_nodes"] != 1)


def _flags(arguments: list[str]) -> Iterator[str]:
    """Those of Hydra's flags that say where settings are read."""
    for place, argument in enumerate(arguments):
        name, equals, _ = argument.partition("=")
        if name in _FLAGS:
            yield argument
            if not equals:
                yield arguments[place + 1]


def _forget_processes() -> None:
    """So that Lightning starts others for the next job."""
    from torch import distributed

    for name in _SET_BY_LIGHTNING:
        os.environ.pop(name, None)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
