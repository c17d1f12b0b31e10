"""Names of the devices that a model is run on, and how much they are given at once."""

import os
import re
from typing import NamedTuple

from cxr_lightning.utils.distributed import local_rank

MAX_THREADS, MAX_BATCH_SIZE = 1024, 65_536
"""Larger numbers of threads, and of images at once, are taken for a mistake."""
_DEVICE = re.compile(r"(?P<kind>cpu|mps|cuda)(?:(?<=cuda):(?P<number>[0-9]{1,3}))?")


class Device(NamedTuple):
    """A device by its name."""

    kind: str
    """``cpu``, ``cuda`` or ``mps``."""
    number: int = 0
    """Number of the GPU."""


def parse_device(name: str) -> Device:
    """The device with a name.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        ValueError: If it is another name.

    Example:
        >>> parse_device("cuda:1")
        Device(kind='cuda', number=1)
    """
    if (found := _DEVICE.fullmatch(name)) is None:
        raise no_device(name, "the devices are cpu, cuda, cuda:N and mps")
    return Device(found["kind"], int(found["number"] or 0))


def gpu_of_process(count: int | None = None) -> int:
    """Number of this process's GPU: the processes of torchrun or srun on a machine have one each, in turn.

    Args:
        count: Number of GPUs; None for that in ``CUDA_VISIBLE_DEVICES``, where it is set.
    """
    if count is None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        count = len(visible.split(",")) if visible else 0
    return local_rank() % count if count else local_rank()


def no_device(name: str, reason: str) -> ValueError:
    """The error about a device that cannot be used.

    Args:
        name: Name of the device.
        reason: Why, as a clause.
    """
    return ValueError(f"Expected a usable device but got '{name}' ({reason}). Use cpu.")
