"""evaluate.py: check the settings, then import the job and run it."""

from pathlib import Path
from pkgutil import resolve_name

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from cxr_lightning.app.config_check import EVALUATE, check_config
from cxr_lightning.utils.file_names import PREDICTIONS_FILE

_JOB = "cxr_lightning.app.evaluate_job:run_evaluation"
"""Imported after the checks, since torch, Lightning and pandas take seconds."""
_REFUSED_DATA_SETTINGS = {
    "image_size": "it is the checkpoint's",
    "interpolation": "it is the checkpoint's",
    "batch_size": "set `batch_size`",
    "cache": "set `cache`",
    "cache_dir": "set `paths.cache_dir`",
    "num_workers": "set `num_workers`",
}
"""Data settings that evaluate.py does not take from ``data``, and where they come from."""
_PREDICTION_SETTINGS = frozenset({"accelerator", "devices", "precision", "batch_size"})


def evaluate(config: DictConfig) -> float | None:
    """Evaluate a checkpoint or a predictions file, and write the report.

    Args:
        config: ``conf/evaluate.yaml``, composed.

    Returns:
        The mean AUROC; None where no label has one.

    Raises:
        ValueError: If the configuration, the data or the predictions are wrong.
        FileNotFoundError: If a file is not there.
    """
    with open_dict(config):
        if "data" in config:
            if config.root:
                config.data.root = config.root
            if config.ckpt and OmegaConf.is_missing(config.data, "labels"):
                config.data.labels = None  # the checkpoint has them
        check_config(config, EVALUATE)
    _check_inputs(config)
    _check_numbers(config)
    _check_outputs(config)
    _check_overrides(config)
    mean: float | None = resolve_name(_JOB)(config)
    return mean


def _check_inputs(config: DictConfig) -> None:
    """Refuse inputs that contradict each other."""
    if bool(config.ckpt) == bool(config.predictions):
        raise ValueError(
            "Expected either a checkpoint or predictions but got "
            f"{'both' if config.ckpt else 'neither'}. Set ckpt=FILE (or ckpt=latest), or predictions=FILE data=NAME."
        )
    if config.predictions and "data" not in config:
        raise ValueError("Expected `data` to say what the predictions are of but it is not set. For example: data=nih.")
    if config.val_predictions and not config.predictions:
        raise ValueError("Expected `predictions` beside `val_predictions` but got none. A checkpoint predicts both.")
    if config.predictions and any(value is not None for value in config.source.values()):
        raise ValueError("Expected no `source` settings beside `predictions`: they say how a weight file is used.")
    if config.allow_missing and not config.predictions:
        raise ValueError(
            "Expected `predictions` beside `allow_missing` but got a checkpoint, which predicts all images."
        )


def _check_numbers(config: DictConfig) -> None:
    """Refuse numbers out of range."""
    if config.devices != -1 and config.devices < 1:
        raise ValueError(f"Expected `devices` to be at least 1, or -1 for all, but got {config.devices}.")
    for name, value in (
        ("seed", config.seed),
        ("gradcam.top", config.gradcam.top),
        ("gradcam.sanity", config.gradcam.sanity),
    ):
        if value < 0:
            raise ValueError(f"Expected `{name}` to be at least 0 but got {value}.")
    if config.gradcam.images and config.gradcam.top == 0:
        raise ValueError("Expected `gradcam.top` above 0 beside `gradcam.images`: heat maps are of the best findings.")


def _check_outputs(config: DictConfig) -> None:
    """Refuse outputs that would overwrite a file, or that cannot be made."""
    if config.save_calibrated and config.split == "val":
        raise ValueError(
            "Expected another split for `save_calibrated` than val: nothing is fitted on evaluated images."
        )
    if config.save_calibrated and not config.ckpt:
        raise ValueError("Expected a checkpoint to copy for `save_calibrated` but `ckpt` is not set. Set ckpt=FILE.")
    if config.save_calibrated and Path(config.save_calibrated).exists():
        raise ValueError(f"Expected a new file as `save_calibrated` but '{config.save_calibrated}' exists already.")
    output = Path(config.paths.output_dir) / PREDICTIONS_FILE
    if output.exists() and any(
        path and Path(path).exists() and output.samefile(path) for path in (config.predictions, config.val_predictions)
    ):
        raise ValueError(f"Expected another output folder: this run would overwrite its input '{output}'.")


def _check_overrides(config: DictConfig) -> None:
    """Refuse settings on the command line that would have no effect."""
    for override in HydraConfig.get().overrides.task:
        name = override.lstrip("+").partition("=")[0]
        setting = name.removeprefix("data.")
        if config.ckpt and name.startswith("data.") and setting in _REFUSED_DATA_SETTINGS:
            raise ValueError(f"Expected no '{name}' beside `ckpt`: {_REFUSED_DATA_SETTINGS[setting]}. Leave it out.")
        if config.predictions and name in _PREDICTION_SETTINGS:
            raise ValueError(f"Expected no '{name}' beside `predictions`: nothing is predicted. Leave it out.")
