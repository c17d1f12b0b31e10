"""Check what `train.py data.subset=true` and `evaluate.py ckpt=latest` left: python .ci/check_run.py LOG_FOLDER."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

LEFT = (
    ".hydra/config.yaml",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "history.csv",
    "loss_curve.png",
    "summary.json",
    "tensorboard",
    "train.log",
)
REPORT = ("report.html", "metrics.json", "metrics.csv", "predictions.csv", "figures", "tensorboard")


def main(logs: Path) -> None:
    """Stop with a message at the first thing that is not as it must be."""
    (run,) = (logs / "train" / "runs").iterdir()
    missing = [name for name in LEFT if not (run / name).exists()]
    require(not missing, f"{missing} in the run folder")
    summary = json.loads((run / "summary.json").read_text())
    train, val = summary["train_loss"], summary["val_loss"]
    constant = summary["constant_loss"]["val"]
    test = summary["test"]
    print(f"training loss {train}, validation loss {val}, best constant {constant:.4f}")
    print(
        f"test macro AUROC {test['macro_auroc']:.4f} over {test['defined_labels']} labels, {summary['seconds']:.0f} s"
    )
    require(train[-1] < 0.75 * train[0], "a training loss under 75 % of the first epoch's")
    require(min(val) < 0.95 * constant, "a validation loss at least 5 % under the best constant prediction's")
    require(test["defined_labels"] == 14, "14 defined labels")
    require(test["macro_auroc"] >= 0.80, "a test macro AUROC of at least 0.80")
    require(summary["data"]["synthetic"] and summary["data"]["subset"], "a record that says synthetic and subset")
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", map_location="cpu", weights_only=True)
    require(len(checkpoint["cxr_lightning"]["labels"]) == 14, "14 labels in the checkpoint")
    check_report(logs, test)


def check_report(logs: Path, test: dict[str, Any]) -> None:
    """Stop unless the report repeats the run's test."""
    (report,) = (logs / "evaluate" / "runs").iterdir()
    missing = [name for name in REPORT if not (report / name).exists()]
    require(not missing, f"{missing} in the report folder")
    metrics = json.loads((report / "metrics.json").read_text())
    apart = [abs(metrics["labels"][label]["auroc"]["value"] - value) for label, value in test["auroc"].items()]
    print(f"largest difference between the report's AUROC and the run's: {max(apart):.1e}")
    require(max(apart) < 1e-6, "a report that repeats the run's test AUROC to 1e-6")
    require(metrics["protocol"]["comparable"] is False, "synthetic results that are not comparable with published ones")
    require("SYNTHETIC" in (report / "report.html").read_text(), "a report that says synthetic")


def require(fact: bool, expected: str) -> None:
    """Stop unless the fact holds."""
    if not fact:
        sys.exit(f"Expected {expected}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
