"""Paired timing: cases run in turns within one process, so that fluctuations of the machine affect all of them."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

import torch

ROUNDS = 5


def time_in_turns(
    cases: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, *, settle: bool = False
) -> dict[str, list[float]]:
    """Measure the seconds of every case in every round, after one warm-up call of each.

    Args:
        cases: Functions to time, by name.
        rounds: Number of rounds.
        settle: Call each case twice in every round and time the second call: memory that another case has returned to
            the system is requested again, which does not happen in a loop of one case.
    """
    for case in cases.values():
        case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            if settle:
                case()
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def speed_ratios(seconds: Mapping[str, list[float]], base: str, name: str) -> list[float]:
    """Speed of a case as a multiple of the base's speed, round by round."""
    return [slow / fast for slow, fast in zip(seconds[base], seconds[name], strict=True)]


def print_rates(seconds: Mapping[str, list[float]], images: int, base: str | None = None) -> None:
    """Print a line per case: images per second, and the ratio to the base with its range."""
    for name, values in seconds.items():
        line = f"{name:<44} {images / statistics.median(values):>12,.1f} images/s"
        if base is not None and name != base:
            ratios = speed_ratios(seconds, base, name)
            line += f"   {statistics.median(ratios):.2f} times {base} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line, flush=True)


def describe_machine() -> str:
    """Description of the machine and of the library versions."""
    names = ("torch", "torchvision", "pytorch-lightning", "numpy", "pillow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    native = (
        "bfloat16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "no bfloat16"
    )
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {native}, {device}; {versions}"
