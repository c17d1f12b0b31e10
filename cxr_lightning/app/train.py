"""The Hydra program train.py, also ``cxr train``."""

import hydra
from omegaconf import DictConfig

from cxr_lightning.app.configuration import conf_folder
from cxr_lightning.app.entry_point import run_job, run_program


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
def train_main(config: DictConfig) -> float | None:
    """Hydra's entry point; returns the monitored number for sweeps."""
    return run_job("cxr_lightning.app.train_program:run_train_program", config)


def run_train() -> None:
    """Run the program with the process's arguments, and exit with its status."""
    run_program(train_main, conf_folder(), "train")


if __name__ == "__main__":
    run_train()
