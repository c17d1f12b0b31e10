"""Processes of one run that something else has started: torchrun, or SLURM's srun. Reads the environment only."""

import os
from pkgutil import resolve_name

_RENDEZVOUS = "cxr_lightning.utils.cluster:broadcast_text"
"""Imported when there is more than one process, since it imports torch and Lightning."""
_SHELLS = ("bash", "interactive")
"""Names that SLURM gives to the jobs of interactive shells."""


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
    """Number of processes that torchrun or srun has started; 1 without them.

    Raises:
        ValueError: If the environment holds no such number; so do the functions below.
    """
    return _number("WORLD_SIZE" if is_under_torchrun() else "SLURM_NTASKS" if is_under_slurm() else "", 1, minimum=1)


def global_rank() -> int:
    """Rank of this process among them; 0 without them."""
    name = "RANK" if is_under_torchrun() else "SLURM_PROCID" if is_under_slurm() else ""
    rank, size = _number(name, 0), world_size()
    if rank >= size:
        raise ValueError(
            f"Expected a rank below the number of processes, {size}, in the environment variable {name} but got "
            f"{rank}. Start the processes by torchrun or srun."
        )
    return rank


def local_rank() -> int:
    """Rank of this process among those of its machine, which numbers the GPUs; 0 without torchrun or srun."""
    return _number("LOCAL_RANK" if is_under_torchrun() else "SLURM_LOCALID" if is_under_slurm() else "", 0)


def local_world_size() -> int:
    """Number of processes that share this machine's cores: torchrun's; 1 under srun, which gives each task its own."""
    return _number("LOCAL_WORLD_SIZE", 1, minimum=1) if is_under_torchrun() else 1


def _number(name: str, default: int, *, minimum: int = 0) -> int:
    """The number in a variable of the environment."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < minimum:
        raise ValueError(
            f"Expected a number of at least {minimum} in the environment variable {name} but got '{text}'. Unset it, "
            "or start the processes by torchrun or srun, which set it."
        )
    return int(text)


def is_under_torchrun() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_under_slurm() -> bool:
    """Whether srun has started this process; interactive shells are no tasks, as in Lightning, nor are scripts."""
    names = ("SLURM_NTASKS", "SLURM_STEP_ID")  # a job's script has the first without the second
    return all(name in os.environ for name in names) and os.environ.get("SLURM_JOB_NAME") not in _SHELLS
