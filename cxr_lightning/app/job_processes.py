"""Jobs of a sweep with several processes each, which Lightning starts with this program's own arguments."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from cxr_lightning.utils.distributed import started_from_outside

_FLAGS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
_SET_BY_LIGHTNING = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_OBSERVER = "child-process-observer"
"""Lightning's thread that watches them."""
_SECONDS = 10
"""That they may go on after this process has failed."""
_ONE_AFTER_ANOTHER = "BasicLauncher"
_ON_A_CLUSTER = "SlurmLauncher"


@contextmanager
def own_processes(config: DictConfig) -> Iterator[None]:
    """Within the block, the processes that Lightning starts do this job alone, in its folder.

    By themselves each would run the whole sweep, with a search each would try settings of its own, and each would look
    for an unfinished run by itself.

    Args:
        config: The job's.

    Raises:
        ValueError: If processes are started so that they could not be told.
    """
    hydra = HydraConfig.get()
    if not _has_processes(config):
        yield
        return
    if hydra.mode != RunMode.MULTIRUN:
        try:
            with _folder_told(hydra):
                yield
        except BaseException:
            _end_processes()
            raise
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
    arguments = sys.argv
    sys.argv = [arguments[0], *_flags(arguments[1:]), *hydra.overrides.task, "hydra.mode=RUN"]
    try:
        with _folder_told(hydra):
            yield
    finally:
        sys.argv = arguments
        _end_processes()
        _forget_processes()


@contextmanager
def _folder_told(hydra: HydraConf) -> Iterator[None]:
    """Lightning tells its processes this folder; as configured it would be found anew for each."""
    run: Any = hydra.run  # a node, whatever Hydra's annotation says
    folder = run.dir
    with read_write(run), open_dict(run):
        run.dir = hydra.runtime.output_dir
    try:
        yield
    finally:
        with read_write(run), open_dict(run):
            run.dir = folder


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


def _end_processes() -> None:
    """End those that Lightning has started; one that fails too is given time to say why, not to wait for this one."""
    until = time.monotonic() + _SECONDS
    for thread in threading.enumerate():
        if thread.name == _OBSERVER:
            watched: list[subprocess.Popen[bytes]] = thread._child_processes  # type: ignore[attr-defined]
            processes = list(watched)
            watched.clear()  # else the thread ends this program, unheard, when one of them has failed
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0, until - time.monotonic()))
                process.kill()
                process.wait()


def _forget_processes() -> None:
    """So that Lightning starts others for the next job."""
    from torch import distributed

    for name in _SET_BY_LIGHTNING:
        os.environ.pop(name, None)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
