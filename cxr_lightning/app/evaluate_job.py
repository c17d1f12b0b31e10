"""The job of evaluate.py: predict, fit on validation, evaluate, write the report."""

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from cxr_lightning.app.entry_point import silence
from cxr_lightning.app.evaluation_inputs import JobInputs, from_checkpoint, from_predictions_file
from cxr_lightning.app.explanation import explain_evaluation
from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.save import save_with_postprocessing
from cxr_lightning.evaluation.evaluate import check_settings, evaluate_predictions
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.evaluation.statements import Statement, statement
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.inference.predictions_file import write_predictions
from cxr_lightning.metrics.operating_points import ThresholdRule, parse_rules
from cxr_lightning.models.postprocess import PostProcessing, fit_postprocessing
from cxr_lightning.report.evaluation_protocol import verdict
from cxr_lightning.report.report_folder import write_report
from cxr_lightning.report.tensorboard import write_scalars
from cxr_lightning.report.terminal_tables import evaluation_table
from cxr_lightning.report.wording import sentence, validation_source
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.file_names import PREDICTIONS_FILE
from cxr_lightning.utils.json_values import nan_to_null


def run_evaluation(config: DictConfig) -> float | None:
    """Evaluate, and write the report.

    Args:
        config: ``conf/evaluate.yaml``, composed and checked.

    Returns:
        The mean AUROC; None where no label has one.
    """
    if config.save_calibrated and config.ckpt and is_foreign_file(config.ckpt):
        raise ValueError(f"Expected a checkpoint for `save_calibrated` but got '{config.ckpt}'. First: cxr convert.")
    rules, prevalences = parse_rules(config.operating_points), list(config.prevalences)
    check_settings(prevalences, config.replicates)
    silence()
    job_inputs = from_checkpoint(config) if config.ckpt else from_predictions_file(config)
    if not is_rank_zero():  # this process was needed for predictions only
        return None
    postprocessing = _postprocessing(job_inputs, rules, config.seed)
    not_fitted = None if postprocessing else _reason_not_fitted(config)
    if config.save_calibrated and postprocessing is None:
        raise ValueError(f"Expected something fitted for `save_calibrated` but {sentence(not_fitted)}.")
    inputs = replace(job_inputs.evaluated, predictions=_calibrated(job_inputs.evaluated.predictions, postprocessing))
    evaluation = evaluate_predictions(
        inputs,
        postprocessing,
        not_fitted=not_fitted,
        prevalences=prevalences,
        replicates=config.replicates,
        seed=config.seed,
    )
    folder = Path(config.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(inputs.predictions, folder / PREDICTIONS_FILE)  # written before the heat maps, which may fail
    explanation = None
    if job_inputs.model is not None:
        explanation = explain_evaluation(
            config, job_inputs.model, job_inputs.datamodule, inputs.predictions, evaluation, postprocessing
        )
    write_report(evaluation, folder, explanation)
    write_scalars(evaluation, folder / "tensorboard")
    metadata = inputs.source.metadata
    if config.save_calibrated and postprocessing is not None and metadata is not None:
        save_with_postprocessing(metadata["file"], Path(config.save_calibrated), postprocessing.to_metadata())
    _print_evaluation(evaluation, folder)
    mean = evaluation.auroc.estimate.value
    return nan_to_null(mean)


def _postprocessing(job_inputs: JobInputs, rules: tuple[ThresholdRule, ...], seed: int) -> PostProcessing | None:
    """Post-processing fitted on validation images, or else that in the checkpoint."""
    validation = job_inputs.validation
    if validation is None:
        stored = job_inputs.stored
        return None if stored is None else stored.select_operating_points([rule.name for rule in rules])
    return fit_postprocessing(
        validation.labels,
        validation.probabilities,
        validation.targets,
        validation.patient_ids,
        rules,
        seed=seed,
        source=validation_source(len(validation.image_ids), len(set(validation.patient_ids))),
    )


def _calibrated(predictions: Predictions, postprocessing: PostProcessing | None) -> Predictions:
    """The predictions, with calibrated probabilities if there is post-processing."""
    if postprocessing is None:
        return predictions
    calibrated = postprocessing.calibrate(predictions.labels, predictions.probabilities)
    return replace(predictions, calibrated=calibrated)


def _reason_not_fitted(config: DictConfig) -> Statement:
    if config.split == "val" and config.ckpt:
        return statement("evaluated_are_validation")
    return statement("no_validation_images" if config.ckpt else "no_validation_predictions")


def _print_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Print the table, the warnings and the path of the report."""
    console = Console()
    console.print(evaluation_table(evaluation))
    for warning in evaluation.warnings:
        console.print(f"note: {sentence(warning)}", markup=False, highlight=False)
    console.print(verdict(evaluation), markup=False, highlight=False)
    console.print(f"report: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
