"""The evaluation of evaluate.py and of the Python API: predict, fit on validation, evaluate, explain."""

from dataclasses import replace
from pathlib import Path

from cxr_lightning.app.entry_point import ignore_intended_warnings
from cxr_lightning.app.evaluate_settings import EvaluateSettings
from cxr_lightning.app.evaluation_inputs import JobInputs, from_checkpoint, from_predictions_file
from cxr_lightning.app.explanation import explain_evaluation
from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.save import save_with_postprocessing
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.evaluation.evaluate import evaluate_predictions
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.evaluation.statements import Statement, statement
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.inference.predictions_file import write_predictions
from cxr_lightning.metrics.operating_points import ThresholdRule, parse_rules
from cxr_lightning.models.postprocess import PostProcessing, fit_postprocessing
from cxr_lightning.report.evaluation_protocol import verdict
from cxr_lightning.report.evaluation_report import EvaluationReport
from cxr_lightning.report.terminal_tables import evaluation_tables
from cxr_lightning.report.wording import sentence, validation_source
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.file_names import PREDICTIONS_FILE
from cxr_lightning.utils.json_values import nan_to_null
from cxr_lightning.utils.terminal import say
from cxr_lightning.utils.text_tables import show_table


def write_evaluation(settings: EvaluateSettings) -> float | None:
    """Evaluate, write the report into the run's folder, and print its table.

    Args:
        settings: The settings of the evaluation.

    Returns:
        The mean AUROC; None where no label has one.
    """
    ignore_intended_warnings()
    report = run_evaluation(settings)
    if report is None or settings.paths.output_dir is None:
        return None
    folder = Path(settings.paths.output_dir)
    report.write(folder)
    _print_evaluation(report.evaluation, folder)
    if settings.save_calibrated:
        say(f"checkpoint with calibration and operating points: {settings.save_calibrated}")
    return nan_to_null(report.evaluation.auroc.estimate.value)


def run_evaluation(
    settings: EvaluateSettings, datamodule: ChestXRayDataModule | None = None
) -> EvaluationReport | None:
    """Predict, fit on validation images, evaluate, and draw heat maps.

    With an output folder, the predictions are written there before the heat maps, which may fail.

    Args:
        settings: The settings of the evaluation.
        datamodule: The data to evaluate a checkpoint on; by default that of the settings, or of the checkpoint.

    Returns:
        The report; None except in the process of rank zero.
    """
    if settings.save_calibrated and settings.ckpt and is_foreign_file(settings.ckpt):
        raise ValueError(f"Expected a checkpoint for `save_calibrated` but got '{settings.ckpt}'. First: cxr convert.")
    job_inputs = from_checkpoint(settings, datamodule) if settings.ckpt else from_predictions_file(settings)
    if not is_rank_zero():  # this process was needed for predictions only
        return None
    postprocessing = _postprocessing(job_inputs, parse_rules(settings.operating_points), settings.seed)
    not_fitted = None if postprocessing else _reason_not_fitted(settings)
    if settings.save_calibrated and postprocessing is None:
        raise ValueError(f"Expected something fitted for `save_calibrated` but {sentence(not_fitted)}.")
    inputs = replace(job_inputs.evaluated, predictions=_calibrated(job_inputs.evaluated.predictions, postprocessing))
    evaluation = evaluate_predictions(
        inputs,
        postprocessing,
        not_fitted=not_fitted,
        prevalences=settings.prevalences,
        replicates=settings.replicates,
        seed=settings.seed,
    )
    if settings.paths.output_dir is not None:
        folder = Path(settings.paths.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_predictions(inputs.predictions, folder / PREDICTIONS_FILE)
    explanation = None
    if job_inputs.model is not None:
        explanation = explain_evaluation(
            settings, job_inputs.model, job_inputs.datamodule, inputs.predictions, evaluation, postprocessing
        )
    metadata = inputs.source.metadata
    if settings.save_calibrated and postprocessing is not None and metadata is not None:
        save_with_postprocessing(metadata["file"], Path(settings.save_calibrated), postprocessing.to_metadata())
    return EvaluationReport(evaluation, inputs.predictions, explanation)


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


def _reason_not_fitted(settings: EvaluateSettings) -> Statement:
    if settings.split == "val" and settings.ckpt:
        return statement("evaluated_are_validation")
    return statement("no_validation_images" if settings.ckpt else "no_validation_predictions")


def _print_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Print the table, the warnings and the path of the report."""
    for table in evaluation_tables(evaluation):
        show_table(table)
    for warning in evaluation.warnings:
        say(f"note: {sentence(warning)}")
    say(verdict(evaluation))
    say(f"report: {folder / 'report.html'}")
