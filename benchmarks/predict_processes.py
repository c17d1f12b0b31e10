"""Run cxr predict in several processes, which divide the files: results, kills, and a folder of very many files.

uv run --extra onnx -m benchmarks.predict_processes [--files 1000] [--kills 5] [--links 1000000]
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from benchmarks.predict_many import difference, read_lines, reasons
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.phantom.reference_image import reference_image

CXR = [sys.executable, "-m", "cxr_lightning", "predict"]
SOURCES = 25
"""Number of different films; file systems limit the links to one."""


def write_model(path: Path) -> None:
    """Write a small network with weights at random."""
    torch.manual_seed(0)
    export_onnx(ChestXRayClassifier(NIH_LABELS, backbone="densenet_micro", image_size=64).eval(), path)


def write_files(folder: Path, files: int) -> None:
    """Write links to a few small films; two of them are no images."""
    sources = folder.with_name("sources")
    sources.mkdir(exist_ok=True)
    folder.mkdir()
    film = reference_image(64, "bilinear")
    for number in range(SOURCES):
        noise = np.random.default_rng(number).integers(0, 8, film.shape, dtype=np.uint8)
        Image.fromarray(np.minimum(film, 247) + noise).save(sources / f"{number}.png")
    for number in range(files):
        os.link(sources / f"{number % SOURCES}.png", folder / f"{number:07}.png")
    for number in (3, files - 5):
        path = folder / f"{number:07}.png"
        path.unlink()
        path.write_bytes(b"no image")


def slurm(rank: int, number: int) -> dict[str, str]:
    """Environment variables of a task that srun has started."""
    task = {"SLURM_NTASKS": str(number), "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
    return {**os.environ, **task, "SLURM_JOB_NAME": "predict", "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0"}


def start_tasks(number: int, arguments: Sequence[str]) -> list["subprocess.Popen[bytes]"]:
    """Start processes as srun does; one without it."""
    environments = [slurm(rank, number) for rank in range(number)] if number > 1 else [{**os.environ}]
    return [_start(arguments, one) for one in environments]


def _start(arguments: Sequence[str], environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*CXR, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run_tasks(number: int, arguments: Sequence[str]) -> tuple[list[int], float]:
    """Exit codes, and seconds."""
    started = time.perf_counter()
    codes = [process.wait() for process in start_tasks(number, arguments)]
    return sorted(codes), time.perf_counter() - started


def run_torchrun(number: int, arguments: Sequence[str]) -> tuple[list[int], float]:
    """Exit code of torchrun, and seconds."""
    started = time.perf_counter()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}"]
    done = subprocess.run([*launcher, *CXR[1:], *arguments], capture_output=True, check=False)
    return [done.returncode], time.perf_counter() - started


def compare(one: Path, other: Path) -> str:
    """How two folders of results differ, in words."""
    whole, parts = ({str(line["file"]): line for line in read_lines(folder)} for folder in (one, other))
    names = ("results.jsonl", "results.csv")
    equal = all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    with (other / "results.csv").open(newline="") as file:
        rows = [row["file"] for row in csv.DictReader(file)]
    return (
        f"same files and reasons: {reasons(whole) == reasons(parts)}, in order: {rows == list(whole)}, largest "
        f"difference {difference(whole, parts):.1e}, equal byte for byte: {equal}, left: "
        f"{sorted(path.name for path in other.iterdir())}"
    )


def kept_results(out: Path) -> int:
    """Number of results in the parts of processes, or of all at the end."""
    return sum(path.read_bytes().count(b"\n") for path in (*out.glob(".processes/part-*"), *out.glob("results.jsonl")))


def kill_and_resume(folder: Path, arguments: Sequence[str], files: int, seed: int) -> None:
    """Kill two processes at a random moment, then three that go on; three others go on to the end."""
    out = folder / f"killed-{seed}"
    draw = random.Random(seed)
    kept = [0]
    for number in (2, 3):
        processes = start_tasks(number, [*arguments, "--out", str(out), "--resume"])
        until = draw.randint(kept[-1], files)
        while kept_results(out) < until and any(process.poll() is None for process in processes):
            time.sleep(0.002)
        for process in draw.sample(processes, number):
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(draw.uniform(0, 0.05))
        kept.append(kept_results(out))
    codes, _ = run_tasks(3, [*arguments, "--out", str(out), "--resume"])
    found = compare(folder / "one", out)
    print(f"killed with {kept[1]} and {kept[2]} results, then three processes: exit codes {codes}, {found}")


def peak_of(folder: Path, images: Path, model: Path) -> None:
    """Print the seconds until the first result, and the peak memory 20 s later."""
    out = folder / f"out-{images.name}"
    started = time.perf_counter()
    process = _start([str(images), "--model", str(model), "--out", str(out)])
    while process.poll() is None and not ((out / "results.jsonl").is_file() and (out / "results.jsonl").stat().st_size):
        time.sleep(0.05)
    first, peak = time.perf_counter() - started, 0
    while process.poll() is None and time.perf_counter() - started < first + 20:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak = max([peak, *(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.1)
    process.terminate()
    process.wait()
    print(f"{images.name}: first result after {first:.1f} s, peak {peak} MiB, {len(read_lines(out)):,} results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--links", type=int, default=1_000_000)
    parsed = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        write_model(model)
        write_files(folder / "thousand", parsed.files)
        arguments = [str(folder / "thousand"), "--model", str(model)]
        codes, seconds = run_tasks(1, [*arguments, "--out", str(folder / "one")])
        print(f"one process: exit codes {codes}, {seconds:.1f} s")
        for number in (2, 3):
            out = folder / f"srun-{number}"
            codes, seconds = run_tasks(number, [*arguments, "--out", str(out)])
            print(f"srun, {number}: exit codes {codes}, {seconds:.1f} s, {compare(folder / 'one', out)}")
        codes, seconds = run_torchrun(2, [*arguments, "--out", str(folder / "torchrun")])
        print(f"torchrun, 2: exit code {codes}, {seconds:.1f} s, {compare(folder / 'one', folder / 'torchrun')}")
        for seed in range(parsed.kills):
            kill_and_resume(folder, arguments, parsed.files, seed)
        peak_of(folder, folder / "thousand", model)
        if parsed.links:
            write_files(folder / "million", parsed.links)
            peak_of(folder, folder / "million", model)


if __name__ == "__main__":
    main()
