"""Compare training in float32 and bfloat16: three seeds each, 300 steps on the synthetic set.

    uv run -m benchmarks.precision_curves [--picture docs/precision.png]

For means over 25 steps, it prints the gap between the two precisions' mean curves and the spread of the float32 seeds.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.paired_timing import describe_machine

REPOSITORY = Path(__file__).parent.parent
SEEDS = (1, 2, 3)
WINDOW = 25
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}

Curves = dict[str, NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    curves: Curves = {
        name: np.array([train_losses(precision, seed) for seed in SEEDS]) for name, precision in PRECISIONS.items()
    }
    steps = curves["float32"].shape[1] * WINDOW
    gap = np.abs(curves["bfloat16"].mean(0) - curves["float32"].mean(0))
    spread = np.ptp(curves["float32"], axis=0)
    print("step   float32  bfloat16  gap      spread of float32 seeds")
    for window, values in enumerate(
        zip(curves["float32"].mean(0), curves["bfloat16"].mean(0), gap, spread, strict=True)
    ):
        print(f"{(window + 1) * WINDOW:>4}   {values[0]:.5f}  {values[1]:.5f}   {values[2]:.5f}  {values[3]:.5f}")
    within = int((gap <= spread).sum())
    print(
        f"{steps} steps: the gap is within the spread in {within} of {len(gap)} windows; mean gap {gap.mean():.5f}, "
        f"mean spread {spread.mean():.5f}"
    )
    paired = np.abs(curves["bfloat16"] - curves["float32"]).mean()
    print(f"mean distance between the precisions of one seed {paired:.5f}")
    if arguments.picture:
        draw_curves(curves, arguments.picture)


def train_losses(precision: str, seed: int) -> NDArray[np.float64]:
    """Train once and return the training loss, means over ``WINDOW`` steps."""
    with TemporaryDirectory() as logs:
        settings = [f"seed={seed}", f"trainer.precision={precision}", "trainer.log_every_n_steps=1", "logger=csv"]
        settings += ["data.subset=true", "test=false", f"paths.log_dir={logs}", "callbacks.progress_bar=null"]
        subprocess.run([sys.executable, "train.py", *settings], cwd=REPOSITORY, check=True, capture_output=True)
        (file,) = Path(logs).rglob("metrics.csv")
        with file.open(newline="") as text:
            values = [float(row["train/loss_step"]) for row in csv.DictReader(text) if row["train/loss_step"]]
    print(f"{precision}, seed {seed}: {len(values)} steps, last window {np.mean(values[-WINDOW:]):.5f}", flush=True)
    whole = len(values) // WINDOW * WINDOW
    means: NDArray[np.float64] = np.array(values[:whole]).reshape(-1, WINDOW).mean(1)
    return means


def draw_curves(curves: Curves, path: Path) -> None:
    """Draw every seed as a thin line and the mean as a thick one."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for (name, values), color in zip(curves.items(), ("#1f4e79", "#c0504d"), strict=True):
        steps = (np.arange(values.shape[1]) + 1) * WINDOW
        for seed in values:
            axes.plot(steps, seed, color=color, linewidth=0.8, alpha=0.5)
        axes.plot(steps, values.mean(0), color=color, linewidth=2.2, label=f"{name}, mean of {len(values)} seeds")
    axes.set(
        xlabel="training step",
        ylabel=f"training loss, mean of {WINDOW} steps",
        title="SYNTHETIC DATA (phantom), subset",
    )
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
