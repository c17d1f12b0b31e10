"""Compare models that learn the synthetic set: the network, and linear ones on thumbnails or on age, sex and view.

``uv run benchmarks/phantom_baselines.py --data-seed 7`` builds the set with that seed, trains the main job and the
linear models on it, and prints their test AUROC. A linear model that comes near the network would mean that something
other than the findings reveals the labels.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.imaging.reader import read_gray, resize

ROOT = Path(__file__).parent.parent
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
Features = dict[str, NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-seed", type=int, default=7, help="seed of the set (default: %(default)s)")
    parser.add_argument("overrides", nargs="*", help="further settings of train.py")
    arguments = parser.parse_args()
    summary = train_network(arguments.data_seed, arguments.overrides)
    module = ChestXRayDataModule(
        root=str(Path(summary["data"]["settings"]["root"])),
        source=PhantomLayout(seed=arguments.data_seed),
        seed=arguments.data_seed,
        val_fraction=summary["data"]["settings"]["val_fraction"],
    )
    module.setup()
    tables = {split: module.rows(split) for split in ("train", "val", "test")}
    thumbnails = {split: thumbnail_features(table) for split, table in tables.items()}
    metadata = {split: metadata_features(table) for split, table in tables.items()}
    labels = list(module.labels)
    columns = {
        "network": summary["test"]["auroc"],
        "16x16 thumbnails": linear_auroc(thumbnails, tables, labels),
        "age, sex, view": linear_auroc(metadata, tables, labels),
    }
    print_scores(columns, labels, summary)


def train_network(data_seed: int, overrides: list[str]) -> dict[str, Any]:
    """Run the main job as a user would, and return its summary."""
    with tempfile.TemporaryDirectory() as logs:
        command = [sys.executable, str(ROOT / "train.py"), "data.subset=true", f"data.seed={data_seed}"]
        started = time.perf_counter()
        subprocess.run([*command, f"paths.log_dir={logs}", *overrides], check=True, cwd=ROOT)
        seconds = time.perf_counter() - started
        (path,) = Path(logs).glob("train/runs/*/summary.json")
        return {**json.loads(path.read_text()), "wall": seconds}


def thumbnail_features(table: pd.DataFrame) -> NDArray[np.float64]:
    """Gray values of 16x16 thumbnails, ``(N, 256)``."""
    return np.stack([resize(read_gray(Path(path)), 16).ravel() for path in table["path"]]).astype(np.float64)


def metadata_features(table: pd.DataFrame) -> NDArray[np.float64]:
    """Age, its square, sex and view, ``(N, 4)``."""
    age = table["age"].fillna(50).to_numpy(dtype=np.float64)
    return np.stack([age, age**2, table["sex"] == "M", table["view_position"] == "AP"], axis=1).astype(np.float64)


def linear_auroc(features: Features, tables: dict[str, pd.DataFrame], labels: list[str]) -> dict[str, float]:
    """Test AUROC of logistic regression; its regularization is chosen for each label on validation."""
    scores = {}
    for label in labels:
        truth = {split: table[label].to_numpy() for split, table in tables.items()}
        models = [
            make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(
                features["train"], truth["train"]
            )
            for strength in STRENGTHS
        ]
        best = max(models, key=lambda model: roc_auc_score(truth["val"], model.decision_function(features["val"])))
        scores[label] = float(roc_auc_score(truth["test"], best.decision_function(features["test"])))
    return scores


def print_scores(columns: dict[str, dict[str, float]], labels: list[str], summary: dict[str, Any]) -> None:
    table = Table(
        title=f"Test AUROC, SYNTHETIC DATA, data.seed={summary['data']['settings']['seed']}", show_footer=True
    )
    table.add_column("finding", footer="mean")
    for name, scores in columns.items():
        table.add_column(name, justify="right", footer=f"{np.mean(list(scores.values())):.3f}")
    for label in labels:
        table.add_row(label, *(f"{scores[label]:.3f}" for scores in columns.values()))
    console = Console()
    console.print(table)
    train, val, constant = summary["train_loss"], summary["val_loss"], summary["constant_loss"]["val"]
    console.print(f"training loss {train[0]:.4f} -> {train[-1]:.4f} ({train[-1] / train[0]:.0%})")
    console.print(f"validation loss {val[-1]:.4f}, best constant {constant:.4f} ({1 - val[-1] / constant:.1%} under)")
    console.print(f"{summary['wall']:.0f} s in all, precision {summary['precision']}, versions {summary['versions']}")


if __name__ == "__main__":
    main()
