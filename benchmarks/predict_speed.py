"""Time predicting from its start: one film and many, with an ONNX file and with a checkpoint, beside other programs.

    uv run --with torchxrayvision -m benchmarks.predict_speed [--files 200] [--rounds 5] [--before CHECKOUT]

All in turns, whole processes, with their peak memory. The other programs are a bare script of onnxruntime and Pillow,
torchxrayvision's documented way (its DenseNet with random weights, since only its time counts) and, with --before, this
program in the checkout of an earlier version. The bound is the time of decoding and of the network, each measured alone
on one core, divided by the number of cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.paired_timing import describe_machine
from benchmarks.predict_many import write_files
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import read_image, resize
from cxr_lightning.inference.backend import Computation
from cxr_lightning.inference.onnx_backend import OnnxBackend
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.subprocesses import usable_cores

REPOSITORY = Path(__file__).parent.parent
SIZE = 224
BARE = """
import sys
import numpy as np
from onnxruntime import InferenceSession
from PIL import Image
session = InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
for path in sys.argv[2:]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L").resize((224, 224)))
    session.run(["probabilities"], {"images": pixels[None, None]})
"""
XRV = """
import sys
import skimage, torch, torchvision
import torchxrayvision as xrv
model = xrv.models.DenseNet(weights=None).eval()
transform = torchvision.transforms.Compose([xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)])
for path in sys.argv[2:]:
    image = xrv.datasets.normalize(skimage.io.imread(path), 255)
    image = transform(image[None] if image.ndim == 2 else image.mean(2)[None])
    with torch.no_grad():
        model(torch.from_numpy(image)[None])
"""
"""The program of torchxrayvision's README, for all files of the command line."""

LAUNCHER = """
import os, sys, time
started = time.perf_counter()
process = os.fork()
if process == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - started, usage.ru_maxrss)
"""
"""A small program that starts another: what a process holds when it starts one counts as that one's peak too."""


class Measured(NamedTuple):
    """One run of a process."""

    seconds: float
    megabytes: float


def measure(command: Sequence[str], place: Path = REPOSITORY) -> Measured:
    """Run a process to its end, which must be a success."""
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(launcher, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    code, seconds, kilobytes = done.stdout.split()[-3:]
    if int(code):
        raise RuntimeError(f"Expected success of {command[:4]} but it ended with {int(code)}.")
    return Measured(float(seconds), float(kilobytes) / 1024)


def print_medians(cases: dict[str, Callable[[], Measured]], rounds: int) -> dict[str, float]:
    """Run all cases in turns, and print medians of seconds and memory; returns the seconds."""
    found: dict[str, list[Measured]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            found[name].append(case())
    for name, runs in found.items():
        seconds = [run.seconds for run in runs]
        memory = statistics.median(run.megabytes for run in runs)
        spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
        print(f"  {name:<28} {statistics.median(seconds):7.2f} s {spread:<18} {memory:6.0f} MB", flush=True)
    return {name: statistics.median(run.seconds for run in runs) for name, runs in found.items()}


def print_bound(paths: Sequence[Path], model: Path, measured: float) -> None:
    """Measure decoding and the network alone, one thread each, and print which part of the bound was reached."""

    def decode(path: Path) -> NDArray[np.uint8]:
        image = read_image(path)
        find_quality_flags(image, SIZE)
        return resize(image.pixels, SIZE)

    started = time.perf_counter()
    pixels = [decode(path) for path in paths]
    decoding = time.perf_counter() - started
    backend = OnnxBackend(model, Computation(threads=1))
    started = time.perf_counter()
    for image in pixels:
        backend.probabilities(image[None])
    network = time.perf_counter() - started
    cores = usable_cores()
    with ThreadPoolExecutor(cores) as pool:  # what the cores give together: less than so many single ones
        started = time.perf_counter()
        list(pool.map(lambda path: backend.probabilities(decode(path)[None]), paths))
        together = time.perf_counter() - started
    bound = (decoding + network) / cores
    print(f"  decoding {decoding:.2f} s, network {network:.2f} s, one core each: bound of {cores} cores {bound:.2f} s")
    print(f"  reached by the whole process, start included: {bound / measured:.0%} of it")
    print(f"  the same work in {cores} threads, without anything else: {together:.2f} s, {bound / together:.0%} of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parsed = parser.parse_args()
    print(describe_machine(), flush=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder / "films", parsed.files, 0)
        films = sorted((folder / "films").iterdir())
        classifier = ChestXRayClassifier(NIH_LABELS, image_size=SIZE).eval()
        checkpoint, onnx = folder / "model.ckpt", folder / "model.onnx"
        save_classifier(classifier, checkpoint)
        export_onnx(classifier, onnx)

        def ours(paths: Sequence[Path], model: Path, place: Path = REPOSITORY) -> Measured:
            command = [
                sys.executable,
                "-m",
                "cxr_lightning",
                "predict",
                *map(str, paths),
                "--model",
                str(model),
                "--json",
            ]
            return measure(command, place)

        def other(program: str, paths: Sequence[Path]) -> Measured:
            return measure([sys.executable, "-c", program, str(onnx), *map(str, paths)])

        for paths in (films[:1], films):
            print(f"{len(paths)} films of 1024 px, DenseNet-121 at {SIZE} px")
            cases: dict[str, Callable[[], Measured]] = {
                "bare onnxruntime": partial(other, BARE, paths),
                "ours, ONNX": partial(ours, paths, onnx),
                "ours, checkpoint": partial(ours, paths, checkpoint),
            }
            if parsed.before:
                cases["before, ONNX"] = partial(ours, paths, onnx, parsed.before)
                cases["before, checkpoint"] = partial(ours, paths, checkpoint, parsed.before)
            if find_spec("torchxrayvision"):
                cases["torchxrayvision"] = partial(other, XRV, paths)
            medians = print_medians(cases, parsed.rounds)
            for case, seconds in medians.items():
                print(f"  {case}: {seconds / medians['ours, ONNX']:.2f} times ours with ONNX")
        print_bound(films, onnx, medians["ours, ONNX"])


if __name__ == "__main__":
    main()
