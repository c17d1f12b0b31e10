"""Jobs with several processes, which Lightning starts with this program's own arguments."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pkgutil import resolve_name
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from cxr_lightning.utils.distributed import is_externally_launched

_LEAVE_PROCESS_GROUP = "cxr_lightning.utils.cluster:leave_process_group"
"""Imported after a job with several processes, since it imports torch."""
_CONFIG_FLAGS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
_MONITOR_THREAD = "child-process-observer"
"""Name of Lightning's thread that monitors the processes it has started."""
_GRACE_SECONDS = 10
"""Time that these processes have to end after this one has failed."""
_SEQUENTIAL_LAUNCHER = "BasicLauncher"
_SLURM_LAUNCHER = "SlurmLauncher"


@contextmanager
def job_processes(config: DictConfig) -> Iterator[None]:
    """Within the block, the processes that Lightning starts run this job only, in its folder.

    Otherwise each of them would run the whole sweep, try other settings in a search, and look for an unfinished run.

    Args:
        config: The job's configuration.

    Raises:
        ValueError: If a launcher starts the processes in another way.
    """
    hydra = HydraConfig.get()
    if not has_several_processes(config):
        yield
        return
    if hydra.mode != RunMode.MULTIRUN:
        try:
            with _fixed_run_folder(hydra):
                yield
        except BaseException:
            _end_processes()
            raise
        return
    launcher = str(hydra.launcher._target_).rpartition(".")[2]
    if launcher == _SLURM_LAUNCHER:  # which starts all processes of a job
        yield
        return
    if launcher != _SEQUENTIAL_LAUNCHER or is_externally_launched():
        raise ValueError(
            "Expected a sweep of jobs with several devices to run one after another (hydra/launcher=basic, and without "
            f"torchrun or srun) or through SLURM (hydra/launcher=submitit_slurm) but got {launcher}. "
            "Or set 'trainer.devices=1'."
        )
    arguments = sys.argv
    sys.argv = [arguments[0], *_config_flags(arguments[1:]), *hydra.overrides.task, "hydra.mode=RUN"]
    try:
        with _fixed_run_folder(hydra):
            yield
    finally:
        sys.argv = arguments
        _end_processes()
        resolve_name(_LEAVE_PROCESS_GROUP)()


@contextmanager
def _fixed_run_folder(hydra: HydraConf) -> Iterator[None]:
    """Set the configured run folder to the one that is used, which Lightning passes to the processes that it starts."""
    run: Any = hydra.run  # a node, whatever Hydra's annotation says
    folder = run.dir
    with read_write(run), open_dict(run):
        run.dir = hydra.runtime.output_dir
    try:
        yield
    finally:
        with read_write(run), open_dict(run):
            run.dir = folder


def has_several_processes(config: DictConfig) -> bool:
    """Whether a job has several devices or nodes, and so several processes."""
    trainer = config.get("trainer", {"devices": config.get("devices", 1), "num_nodes": 1})
    return bool(trainer["devices"] != 1 or trainer["num_nodes"] != 1)


def _config_flags(arguments: list[str]) -> Iterator[str]:
    """Hydra's flags that select configuration files, with their values."""
    for index, argument in enumerate(arguments):
        name, equals, _ = argument.partition("=")
        if name in _CONFIG_FLAGS:
            yield argument
            if not equals:
                yield arguments[index + 1]


def _end_processes() -> None:
    """End the processes that Lightning has started, after some time to report their errors."""
    until = time.monotonic() + _GRACE_SECONDS
    for thread in threading.enumerate():
        if thread.name == _MONITOR_THREAD:
            monitored: list[subprocess.Popen[bytes]] = thread._child_processes  # type: ignore[attr-defined]
            processes = list(monitored)
            monitored.clear()  # else the thread ends this program without a message when one of them has failed
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0, until - time.monotonic()))
                process.kill()
                process.wait()
