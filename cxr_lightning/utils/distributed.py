"""Processes of one run that something else has started: torchrun, or SLURM's srun. Reads the environment only."""

import os
from pkgutil import resolve_name

_RENDEZVOUS = "cxr_lightning.utils.cluster:broadcast_text"
"""Imported when there is more than one process, since it imports torch and Lightning."""


def is_rank_zero() -> bool:
    """Whether this process is the first of its run, which writes for all."""
    names = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK")  # Lightning sets the first of them in processes that it starts
    return global_rank() == 0 and all(int(os.environ.get(name, "0")) == 0 for name in names)


def is_externally_launched() -> bool:
    """Whether this is one of several processes that torchrun or srun has started."""
    return world_size() > 1


def broadcast_from_rank_zero(value: str) -> str:
    """The value of the run's first process; this process's value if it was not launched externally."""
    if not is_externally_launched():
        return value
    received: str = resolve_name(_RENDEZVOUS)(value)
    return received


def world_size() -> int:
    """Number of processes that torchrun or srun has started; 1 without them."""
    name = "WORLD_SIZE" if is_under_torchrun() else "SLURM_NTASKS" if _is_under_slurm() else ""
    return int(os.environ.get(name, "1"))


def global_rank() -> int:
    """Rank of this process among them; 0 without them."""
    name = "RANK" if is_under_torchrun() else "SLURM_PROCID" if _is_under_slurm() else ""
    return int(os.environ.get(name, "0"))


def is_under_torchrun() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _is_under_slurm() -> bool:
    """Whether this is a task of SLURM; as in Lightning, shells in a job are none."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")
