"""Evaluate a chest X-ray classifier, or anybody's predictions: ``python evaluate.py --help``."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from cxr_lightning.app.entry_point import run_job, run_program

CONF = Path(__file__).resolve().parent / "conf"


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def main(config: DictConfig) -> float | None:
    """Hydra's entry point; returns the mean AUROC."""
    return run_job("cxr_lightning.app.evaluate:run_evaluate_program", config)


def run() -> None:
    """Run the program, and exit with its status."""
    run_program(main, CONF, "evaluate")


if __name__ == "__main__":
    run()
