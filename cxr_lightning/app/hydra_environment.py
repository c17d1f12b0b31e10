"""Environment variables that a configuration may set: numbers of threads, devices and what libraries log."""

import re
from collections.abc import Mapping
from typing import Any

from cxr_lightning.app.hydra_folders import check_no_folder

_UP_TO_999, _ZERO_OR_ONE = r"[0-9]{1,3}", r"[01]"

VARIABLES: Mapping[str, str] = {
    "OMP_NUM_THREADS": _UP_TO_999,
    "MKL_NUM_THREADS": _UP_TO_999,
    "OPENBLAS_NUM_THREADS": _UP_TO_999,
    "NUMEXPR_NUM_THREADS": _UP_TO_999,
    "VECLIB_MAXIMUM_THREADS": _UP_TO_999,
    "CUDA_VISIBLE_DEVICES": r"[0-9A-Za-z,-]{0,500}",
    "CUDA_DEVICE_ORDER": r"PCI_BUS_ID|FASTEST_FIRST",
    "CUDA_LAUNCH_BLOCKING": _ZERO_OR_ONE,
    "CUBLAS_WORKSPACE_CONFIG": r":4096:8|:16:8",
    "NCCL_DEBUG": r"VERSION|WARN|INFO",
    "NCCL_P2P_DISABLE": _ZERO_OR_ONE,
    "NCCL_IB_DISABLE": _ZERO_OR_ONE,
    "NCCL_SOCKET_IFNAME": r"[\w^=,.-]{1,100}",
    "PYTORCH_ENABLE_MPS_FALLBACK": _ZERO_OR_ONE,
    "TQDM_DISABLE": _ZERO_OR_ONE,
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
        check_no_folder(f"hydra.job.env_set.{name}", str(value))
