"""evaluate.py: check the settings, then import the job, run it and write the report."""

from pkgutil import resolve_name

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cxr_lightning.app.evaluate_settings import read_evaluate_settings

_JOB = "cxr_lightning.app.evaluate_job:write_evaluation"
"""Imported after the checks, since torch, Lightning and pandas take seconds."""


def run_evaluate_program(config: DictConfig) -> float | None:
    """Evaluate a checkpoint or a predictions file, and write the report.

    Args:
        config: ``conf/evaluate.yaml``, composed.

    Returns:
        The mean AUROC; None where no label has one.

    Raises:
        ValueError: If the configuration, the data or the predictions are wrong.
        FileNotFoundError: If a file is not there.
    """
    settings = read_evaluate_settings(config, HydraConfig.get().overrides.task)
    mean: float | None = resolve_name(_JOB)(settings)
    return mean
