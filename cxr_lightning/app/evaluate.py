"""evaluate.py: from a checkpoint, or anybody's predictions, to a report."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from cxr_lightning.app.config_check import EVALUATE, check_config
from cxr_lightning.app.explanation import explain
from cxr_lightning.app.inputs import from_checkpoint, from_file
from cxr_lightning.app.program import silence
from cxr_lightning.utils.distributed import is_first_process

if TYPE_CHECKING:
    from cxr_lightning.evaluation.evaluate import Subject
    from cxr_lightning.evaluation.results import Evaluation
    from cxr_lightning.explain.explanation import Explanation
    from cxr_lightning.inference.predictions import Predictions
    from cxr_lightning.metrics.operating_points import ThresholdRule
    from cxr_lightning.models.postprocess import Fitted

_ELSEWHERE = {
    "image_size": "it is the checkpoint's",
    "interpolation": "it is the checkpoint's",
    "batch_size": "set `batch_size`",
    "cache": "set `cache`",
    "cache_dir": "set `paths.cache_dir`",
    "num_workers": "set `num_workers`",
}
"""Data settings that evaluate.py does not take from ``data``."""
_OF_PREDICTING = frozenset({"accelerator", "devices", "precision", "batch_size"})


def evaluate(config: DictConfig) -> float | None:
    """Evaluate, and write the report.

    Args:
        config: ``conf/evaluate.yaml``, composed.

    Returns:
        The mean AUROC; None where no label has one.

    Raises:
        ValueError: If the configuration, the data or the predictions are wrong.
        FileNotFoundError: If a file is not there.
    """
    _check_plan(config)
    from cxr_lightning.evaluation.evaluate import check_settings, evaluate_predictions
    from cxr_lightning.metrics.operating_points import parse_rules

    rules, prevalences = parse_rules(config.operating_points), list(config.prevalences)
    check_settings(prevalences, config.replicates)
    silence()
    inputs = from_checkpoint(config) if config.ckpt else from_file(config)
    if not is_first_process():  # it has predicted its share
        return None
    subject, validation = inputs.subject, inputs.validation
    fitted = _only(rules, inputs.stored) if validation is None else _fit(validation, rules, config.seed)
    if config.save_calibrated and fitted is None:
        raise ValueError(f"Expected something fitted for `save_calibrated` but {_why_not_fitted(config)}.")
    evaluation = evaluate_predictions(
        subject,
        fitted,
        not_fitted="" if fitted else _why_not_fitted(config),
        prevalences=prevalences,
        replicates=config.replicates,
        seed=config.seed,
    )
    _write_predictions(subject, fitted, Path(config.paths.output_dir))
    explanation = None
    if inputs.model is not None:
        explanation = explain(config, inputs.model, inputs.datamodule, subject, evaluation, fitted)
    _leave(evaluation, explanation, subject, fitted, config)
    mean = evaluation.auroc.estimate.value
    return None if math.isnan(mean) else mean


def _check_plan(config: DictConfig) -> None:
    """Refuse what cannot be done, before anything is loaded."""
    with open_dict(config):
        if "data" in config:
            if config.root:
                config.data.root = config.root
            if config.ckpt and OmegaConf.is_missing(config.data, "labels"):
                config.data.labels = None  # the checkpoint has them
        check_config(config, EVALUATE)
    from cxr_lightning.checkpoints.foreign.reader import is_foreign_file

    if bool(config.ckpt) == bool(config.predictions):
        raise ValueError(
            "Expected either a checkpoint or predictions but got "
            f"{'both' if config.ckpt else 'neither'}. Set ckpt=FILE (or ckpt=latest), or predictions=FILE data=NAME."
        )
    if config.predictions and "data" not in config:
        raise ValueError("Expected `data` to say what the predictions are of but it is not set. Such as data=nih.")
    if config.val_predictions and not config.predictions:
        raise ValueError("Expected `predictions` beside `val_predictions` but got none. A checkpoint predicts both.")
    if config.predictions and any(value is not None for value in config.source.values()):
        raise ValueError("Expected no `source` settings beside `predictions`: they say how a weight file is used.")
    if config.save_calibrated and config.ckpt and is_foreign_file(config.ckpt):
        raise ValueError(f"Expected a checkpoint for `save_calibrated` but got '{config.ckpt}'. First: cxr convert.")
    if config.allow_missing and not config.predictions:
        raise ValueError(
            "Expected `predictions` beside `allow_missing` but got a checkpoint, which predicts all images."
        )
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
    if config.save_calibrated and config.split == "val":
        raise ValueError(
            "Expected another split for `save_calibrated` than val: nothing is fitted on evaluated images."
        )
    if config.save_calibrated and not config.ckpt:
        raise ValueError("Expected a checkpoint to copy for `save_calibrated` but `ckpt` is not set. Set ckpt=FILE.")
    if config.save_calibrated and Path(config.save_calibrated).exists():
        raise ValueError(f"Expected a new file as `save_calibrated` but '{config.save_calibrated}' exists already.")
    written = Path(config.paths.output_dir) / "predictions.csv"
    if written.exists() and any(
        given and Path(given).exists() and written.samefile(given)
        for given in (config.predictions, config.val_predictions)
    ):
        raise ValueError(f"Expected another output folder: this run would overwrite its input '{written}'.")
    for override in HydraConfig.get().overrides.task:
        name = override.lstrip("+").partition("=")[0]
        setting = name.removeprefix("data.")
        if config.ckpt and name.startswith("data.") and setting in _ELSEWHERE:
            raise ValueError(f"Expected no '{name}' beside `ckpt`: {_ELSEWHERE[setting]}. Leave it out.")
        if config.predictions and name in _OF_PREDICTING:
            raise ValueError(f"Expected no '{name}' beside `predictions`: nothing is predicted. Leave it out.")


def _fit(validation: "Predictions", rules: "tuple[ThresholdRule, ...]", seed: int) -> "Fitted":
    from cxr_lightning.models.postprocess import fit

    patients = len(set(validation.patient_ids))
    return fit(
        validation,
        rules,
        seed=seed,
        source=f"{len(validation.image_ids):,} validation images of {patients:,} patients",
    )


def _only(rules: "tuple[ThresholdRule, ...]", stored: "Fitted | None") -> "Fitted | None":
    """What is stored, with the operating points that are asked for."""
    from dataclasses import replace

    if stored is None:
        return None
    names = [rule.name for rule in rules]
    known = {name for points in stored.thresholds.values() for name in points}
    if absent := [name for name in names if name not in known]:
        raise ValueError(
            f"Expected `operating_points` among those stored in the checkpoint, {sorted(known)}, but got {absent}, and "
            "the data has no validation images to find them on. Leave them out."
        )
    points = {label: {name: of[name] for name in names if name in of} for label, of in stored.thresholds.items()}
    return replace(stored, thresholds=points)


def _why_not_fitted(config: DictConfig) -> str:
    if config.split == "val" and config.ckpt:
        return "the evaluated images are the validation images themselves"
    if config.ckpt:
        return "the data has no validation images, and the checkpoint carries nothing that was fitted earlier"
    return "no predictions of validation images were given (val_predictions=FILE)"


def _write_predictions(subject: "Subject", fitted: "Fitted | None", folder: Path) -> None:
    """First of all: they are what takes longest to make."""
    from dataclasses import replace

    from cxr_lightning.inference.predictions import write_predictions

    folder.mkdir(parents=True, exist_ok=True)
    predictions = subject.predictions
    if fitted is not None:
        calibrated = fitted.calibrate(predictions.labels, predictions.probabilities)
        predictions = replace(predictions, calibrated=calibrated)
    write_predictions(predictions, folder / "predictions.csv")


def _leave(
    evaluation: "Evaluation",
    explanation: "Explanation | None",
    subject: "Subject",
    fitted: "Fitted | None",
    config: DictConfig,
) -> None:
    """Write the report folder and print the table."""
    from rich.console import Console

    from cxr_lightning.checkpoints.record import save_calibrated
    from cxr_lightning.report.scalars import write_scalars
    from cxr_lightning.report.tables import evaluation_table
    from cxr_lightning.report.write import write_report

    folder = Path(config.paths.output_dir)
    report = write_report(evaluation, folder, explanation)
    write_scalars(evaluation, folder / "tensorboard")
    if config.save_calibrated and fitted is not None and subject.origin.record is not None:
        save_calibrated(subject.origin.record["file"], Path(config.save_calibrated), fitted.record())
    console = Console()
    console.print(evaluation_table(evaluation))
    for warning in evaluation.warnings:
        console.print(f"note: {warning}", markup=False, highlight=False)
    console.print(_verdict(evaluation), markup=False, highlight=False)
    console.print(f"report: {report}", markup=False, highlight=False, soft_wrap=True)


def _verdict(evaluation: "Evaluation") -> str:
    words: dict[Any, str] = {
        True: "comparable with official-split results",
        False: "not comparable with official-split results",
        None: "comparability with official-split results is unknown",
    }
    reasons = "; ".join(evaluation.protocol.reasons)
    return words[evaluation.protocol.comparable] + (f" ({reasons})" if reasons else "")
