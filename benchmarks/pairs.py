"""Times things beside each other: in turns, in one process, so that the machine's moods meet all of them."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

import torch

ROUNDS = 5


def interleave(
    cases: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, *, settle: bool = False
) -> dict[str, list[float]]:
    """Seconds of every case in every round, after one call of each that is not counted.

    Args:
        cases: What is timed.
        rounds: How often.
        settle: Call each case twice in every round and time the second: memory that another case gave back has to be
            fetched from the system again, which a loop that runs alone does not do.
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


def ratios(seconds: Mapping[str, list[float]], base: str, name: str) -> list[float]:
    """How many times as fast a case is as the base, round by round."""
    return [slow / fast for slow, fast in zip(seconds[base], seconds[name], strict=True)]


def show(seconds: Mapping[str, list[float]], images: int, base: str | None = None) -> None:
    """A line per case: images per second, and the ratio to the base with its range."""
    for name, values in seconds.items():
        line = f"{name:<44} {images / statistics.median(values):>12,.1f} images/s"
        if base is not None and name != base:
            found = ratios(seconds, base, name)
            line += f"   {statistics.median(found):.2f} times {base} ({min(found):.2f} to {max(found):.2f})"
        print(line, flush=True)


def machine() -> str:
    """What the numbers are of."""
    names = ("torch", "torchvision", "pytorch-lightning", "numpy", "pillow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    native = (
        "bfloat16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "no bfloat16"
    )
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {native}, {device}; {versions}"
