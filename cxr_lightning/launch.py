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
    return _rank() == 0 and int(os.environ.get("LOCAL_RANK", "0")) == 0


def cluster_plugins() -> "list[ClusterEnvironment]":
    """Lightning's interface to SLURM, if there is one, without its own way to start a job again (see ``signals``)."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def agree(own: str) -> str:
    """What the first process of the run says; the same as one's own where processes were not started from outside."""
    torchrun, slurm = "TORCHELASTIC_RUN_ID" in os.environ, _under_slurm()
    world = int(os.environ.get("WORLD_SIZE" if torchrun else "SLURM_NTASKS", "1"))
    if world == 1 or not (torchrun or slurm):
        return own
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented

    if torchrun:
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


def _under_slurm() -> bool:
    """As Lightning sees it: shells in a job are not its tasks."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")


def _rank() -> int:
    name = "RANK" if "TORCHELASTIC_RUN_ID" in os.environ else "SLURM_PROCID" if _under_slurm() else ""
    return int(os.environ.get(name, "0"))
