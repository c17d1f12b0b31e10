"""The Hydra program evaluate.py, also ``cxr evaluate``."""

import hydra
from omegaconf import DictConfig

from cxr_lightning.app.configuration import conf_folder
from cxr_lightning.app.entry_point import run_job, run_program


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="evaluate")
def evaluate_main(config: DictConfig) -> float | None:
    """Hydra's entry point; returns the mean AUROC."""
    return run_job("cxr_lightning.app.evaluate_program:run_evaluate_program", config)


def run_evaluate() -> None:
    """Run the program with the process's arguments, and exit with its status."""
    run_program(evaluate_main, conf_folder(), "evaluate")


if __name__ == "__main__":
    run_evaluate()
