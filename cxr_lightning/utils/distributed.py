"""Processes of one run that something else has started: torchrun, or SLURM's srun."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

_SECONDS = 300
"""That the processes of a run may start apart."""
_KEY = "cxr_lightning_run_folder"


def is_first_process() -> bool:
    """Whether this process is the first of its run, which writes for all."""
    names = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK")  # the first of them is told to processes that Lightning starts
    return _rank() == 0 and all(int(os.environ.get(name, "0")) == 0 for name in names)


def cluster_plugins() -> "list[ClusterEnvironment]":
    """Lightning's interface to SLURM, if there is one, without its own way to start a job again (see ``signals``)."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def started_from_outside() -> bool:
    """Whether this is one of several processes that torchrun or srun has started."""
    return _world_size() > 1


def agree(own: str) -> str:
    """What the first process of the run says; the same as one's own where processes were not started from outside."""
    world = _world_size()
    if world == 1:
        return own
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented

    if _under_torchrun():
        host, port, serves = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), False
        turn = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    else:
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        # Beside the port that Lightning will use; before that is used.
        environment = SLURMEnvironment(auto_requeue=False)
        host, port, serves = environment.main_address, environment.main_port + 1, _rank() == 0
        turn = os.environ.get("SLURM_STEP_ID", "0")
    try:
        store = TCPStore(host, port, is_master=serves, wait_for_workers=False, timeout=timedelta(seconds=_SECONDS))
        if _rank() == 0:
            store.set(f"{_KEY}_{turn}", own)
        agreed = store.get(f"{_KEY}_{turn}").decode()
        heard = store.add(f"{_KEY}_{turn}_heard", 1)
        if heard == world:
            store.set(f"{_KEY}_{turn}_all", "")
        if serves:  # the store ends with this process's hold on it
            store.wait([f"{_KEY}_{turn}_all"])
    except RuntimeError as error:
        raise OSError(
            f"Expected all {world} processes of the run to agree on its folder at {host}:{port} but: {error}. "
            "Start all of them within five minutes, or give the folder: hydra.run.dir=FOLDER."
        ) from error
    return agreed


def _world_size() -> int:
    name = "WORLD_SIZE" if _under_torchrun() else "SLURM_NTASKS" if _under_slurm() else ""
    return int(os.environ.get(name, "1"))


def _under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _under_slurm() -> bool:
    """As Lightning sees it: shells in a job are not its tasks."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")


def _rank() -> int:
    name = "RANK" if _under_torchrun() else "SLURM_PROCID" if _under_slurm() else ""
    return int(os.environ.get(name, "0"))
