"""The content of a finished run's summary.json."""

from typing import Any

SPLIT = {"images": 4, "patients": 4, "sha256": "0" * 64}


def run_summary(**changes: Any) -> dict[str, Any]:
    """A summary as a run writes it, with other values for some of its keys."""
    data = {
        "source": "phantom",
        "synthetic": True,
        "files": {"labels.csv": "0" * 64},
        "splits": {"train": SPLIT, "val": SPLIT, "test": SPLIT},
        "skipped": 0,
        "leaked": 0,
        "rejected": 0,
        "subset": False,
        "settings": {"root": "data", "source": {"name": "phantom"}, "labels": ["Mass", "Edema"], "split": "official"},
    }
    summary = {
        "train_loss": [0.7, 0.6],
        "val_loss": [0.8, None],
        "val_auroc": [None, 0.75],
        "constant_loss": {"train": 0.69, "val": None},
        "found_learning_rate": None,
        "monitor": {"name": "val/auroc", "mode": "max", "best": 0.75},
        "best_checkpoint": "checkpoints/best.ckpt",
        "test": {"macro_auroc": 0.75, "defined_labels": 1, "auroc": {"Mass": 0.75, "Edema": None}},
        "seconds": 12.5,
        "images_per_second": 30,
        "precision": "32-true",
        "data": data,
        "versions": {"python": "3.11.7", "torch": "2.15.0"},
        "run_folder": "logs/train/runs/1",
    }
    return {**summary, **changes}
