"""Communication of a run's processes: torch's key-value store, and Lightning's interface to SLURM."""

import os
from datetime import timedelta

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed

from cxr_lightning.utils.distributed import global_rank, is_under_slurm, is_under_torchrun, world_size

_TIMEOUT = timedelta(minutes=5)
"""Maximum time between the starts of a run's processes."""
_KEY = "cxr_lightning_run_folder"
_SET_BY_LIGHTNING = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def cluster_plugins() -> list[ClusterEnvironment]:
    """Lightning's interface to SLURM or torchrun where SLURM's variables are set; else Lightning finds out itself.

    That to SLURM does not requeue jobs (see ``utils/signals``). A job's script without srun is one process.
    """
    if "SLURM_NTASKS" not in os.environ:
        return []
    if is_under_torchrun():
        return [TorchElasticEnvironment()]
    return [SLURMEnvironment(auto_requeue=False)] if is_under_slurm() else [LightningEnvironment()]


def broadcast_text(value: str) -> str:
    """Send a text from the first of several externally launched processes to all of them.

    Args:
        value: The text of this process; only that of the first one counts.

    Raises:
        OSError: If the processes do not reach each other in time.
    """
    num_processes, rank = world_size(), global_rank()
    host, port, is_server, attempt = _address(rank)
    key = f"{_KEY}_{attempt}"
    try:
        store = distributed.TCPStore(  # type: ignore[attr-defined]  # documented
            host, port, is_master=is_server, wait_for_workers=False, timeout=_TIMEOUT
        )
        if rank == 0:
            store.set(key, value)
        received: str = store.get(key).decode()
        if store.add(f"{key}_received", 1) == num_processes:
            store.set(f"{key}_complete", "")
        if is_server:  # the store ends with this process's reference to it
            store.wait([f"{key}_complete"])
    except RuntimeError as error:
        raise OSError(
            f"Expected all {num_processes} processes of the run to reach each other at {host}:{port} but: {error}. "
            "Start all of them within five minutes, or give the folder: hydra.run.dir=FOLDER."
        ) from error
    return received


def _address(rank: int) -> tuple[str, int, bool, str]:
    """Host and port of the store, whether this process is its server, and the number of this attempt at the run."""
    if is_under_torchrun():
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), False, attempt
    # Lightning uses the main port later, so take the next one.
    environment = SLURMEnvironment(auto_requeue=False)
    return environment.main_address, environment.main_port + 1, rank == 0, os.environ.get("SLURM_STEP_ID", "0")


def leave_process_group() -> None:
    """Reset Lightning's process group, so that it starts new processes for the next job."""
    for name in _SET_BY_LIGHTNING:
        os.environ.pop(name, None)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
