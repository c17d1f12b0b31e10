"""Environment variables that a configuration may set: numbers of threads, devices and what libraries log."""

import re
from collections.abc import Mapping
from typing import Any

_COUNT, _SWITCH = r"[0-9]{1,3}", r"[01]"

VARIABLES: Mapping[str, str] = {
    "OMP_NUM_THREADS": _COUNT,
    "MKL_NUM_THREADS": _COUNT,
    "OPENBLAS_NUM_THREADS": _COUNT,
    "NUMEXPR_NUM_THREADS": _COUNT,
    "VECLIB_MAXIMUM_THREADS": _COUNT,
    "CUDA_VISIBLE_DEVICES": r"[0-9A-Za-z,-]{0,500}",
    "CUDA_DEVICE_ORDER": r"PCI_BUS_ID|FASTEST_FIRST",
    "CUDA_LAUNCH_BLOCKING": _SWITCH,
    "CUBLAS_WORKSPACE_CONFIG": r":4096:8|:16:8",
    "NCCL_DEBUG": r"VERSION|WARN|INFO",
    "NCCL_P2P_DISABLE": _SWITCH,
    "NCCL_IB_DISABLE": _SWITCH,
    "NCCL_SOCKET_IFNAME": r"[\w^=,.-]{1,100}",
    "PYTORCH_ENABLE_MPS_FALLBACK": _SWITCH,
    "TQDM_DISABLE": _SWITCH,
}
"""Variables, and their values as regular expressions. None is a path or names code."""


def check_environment(variables: Mapping[Any, Any] | None) -> None:
    """Refuse environment variables that could change what code runs, or where files are read.

    Args:
        variables: The values of ``hydra.job.env_set``, with those that ``hydra.job.env_copy`` names.

    Raises:
        ValueError: If there is one that is not listed, or of another value.
    """
    for name, value in (variables or {}).items():
        pattern = VARIABLES.get(name)
        if pattern is None:
            raise ValueError(
                f"Expected no {name} in 'hydra.job.env_set' or 'hydra.job.env_copy': a configuration does not change "
                f"what code runs. Set it in the environment of the program. Allowed are {', '.join(VARIABLES)}."
            )
        if isinstance(value, bool) or not re.fullmatch(pattern, str(value)):
            raise ValueError(
                f"Expected a value of {name} in 'hydra.job.env_set' like {pattern} but got {str(value)[:50]!r}. "
                "Correct it, or set it in the environment of the program."
            )
