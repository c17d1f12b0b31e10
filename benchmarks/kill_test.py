"""Kill training at random moments, resume it, and compare the outcome with that of an uninterrupted run.

    uv run -m benchmarks.kill_test [--kills 30] [--workers 2] [--seed 0]

Every round starts a run with dropout and augmentation that saves after every other batch, sends it SIGKILL at a random
moment of the training time, and resumes it with resume=auto. Weights, optimizer, schedule, history and test scores
must equal, bit for bit, those of an uninterrupted run.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.generated_nih import generate_nih_set

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (
    "data=nih",
    "model=densenet_micro",
    "model.drop_rate=0.2",
    "data.image_size=64",
    "data.batch_size=8",
    "data.augmentation.rotation=10",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=3",
    "callbacks.last_checkpoint.every_steps=2",
    "callbacks.progress_bar=null",
    "logger=none",
)
TIME_KEYS = {"seconds", "images_per_second"}
IGNORED_KEYS = ("current_score", "scheduler_progress")
"""Counters that Lightning never uses and does not restore when a run is resumed."""


def main() -> int:
    """Run all rounds; return 0 if every outcome is equal."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=30)
    arguments.add_argument("--workers", type=int, default=2, help="loader processes")
    arguments.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parsed = arguments.parse_args()
    moments = random.Random(parsed.seed)
    equal = 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = generate_nih_set(folder / "set", (1600, 40))
        settings = [*SETTINGS, f"data.root={root}", f"paths.cache_dir={folder}", f"data.num_workers={parsed.workers}"]
        run(settings, folder / "first")  # prepares the images
        seconds, _ = run(settings, folder / "whole")
        expected = outcome(folder / "whole")
        print(f"{parsed.workers} loader processes; training, left alone, takes {seconds:.1f} s", flush=True)
        for number in range(1, parsed.kills + 1):
            ended, moment = folder / f"killed_{number}", moments.uniform(0, seconds)
            _, status = run(settings, ended, kill_after=moment)
            reached = json.dumps(progress(ended))
            run([*settings, "resume=auto"], ended)
            same = outcome(ended) == expected
            equal += same
            how = f"killed after {moment:4.1f} s" if status == -signal.SIGKILL else "ended before its kill"
            print(f"{number:3d}: {how}, saved {reached}: {'equal' if same else 'DIFFERENT'}", flush=True)
    print(f"{equal} of {parsed.kills} ended bit for bit as the run left alone")
    return 0 if equal == parsed.kills else 1


def run(settings: Sequence[str], folder: Path, kill_after: float | None = None) -> tuple[float, int]:
    """Train in a new process; return the seconds from the start of training, and the exit status."""
    command = [sys.executable, str(ROOT / "train.py"), *settings, f"hydra.run.dir={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # tiny networks lose more to threads than they gain
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("run folder:"):
            break
    started = time.monotonic()
    if kill_after is not None:
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    lines += process.stdout.readlines()
    status = process.wait()
    if status not in (0, -signal.SIGKILL):
        raise SystemExit("".join(lines))
    return time.monotonic() - started, status


def progress(folder: Path) -> dict[str, int] | None:
    """Epoch and step of the last checkpoint; None if there is none."""
    path = folder / "checkpoints/last.ckpt"
    if not path.is_file():
        return None
    content = torch.load(path, weights_only=True)
    return {"epoch": content["epoch"], "step": content["global_step"]}


def outcome(folder: Path) -> dict[str, str]:
    """Results of a run without times and paths, as strings that are equal exactly if every bit is."""
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True, map_location="cpu")
    leaves = dict(_leaves(state, "checkpoint"))
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        leaves |= _leaves(list(csv.DictReader(file)), "history")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return leaves | dict(
        _leaves({key: summary[key] for key in ("train_loss", "val_loss", "val_auroc", "test", "monitor")}, "summary")
    )


def _leaves(content: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # any value in a checkpoint
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in TIME_KEYS and key not in IGNORED_KEYS and not str(key).endswith(IGNORED_KEYS):
                yield from _leaves(value, f"{name}/{Path(str(key)).name}")  # some keys are paths
    elif isinstance(content, list | tuple):
        for position, value in enumerate(content):
            yield from _leaves(value, f"{name}/{position}")
    elif isinstance(content, torch.Tensor):
        array = content.contiguous().numpy()
        yield name, f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    elif not (isinstance(content, str) and os.sep in content):
        yield name, repr(content)


if __name__ == "__main__":
    sys.exit(main())
