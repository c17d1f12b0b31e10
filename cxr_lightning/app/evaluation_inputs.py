"""The inputs of an evaluation: a checkpoint's predictions of a split, or those in a file."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate

from cxr_lightning.app.evaluate_settings import EvaluateSettings
from cxr_lightning.app.evaluation_data import build_datamodule, check_datamodule, load_data, load_foreign
from cxr_lightning.app.explanation import check_heatmaps
from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.evaluation.comparability import PredictionSource
from cxr_lightning.evaluation.evaluate import EvaluationInputs
from cxr_lightning.evaluation.leakage import find_overlap, fitting_rows, recorded_split
from cxr_lightning.evaluation.statements import Statement, statement
from cxr_lightning.inference.batches import check_device_settings, predict_batches
from cxr_lightning.inference.predictions import Predictions, predictions_of
from cxr_lightning.inference.predictions_file import join_predictions
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import PostProcessing, read_postprocessing
from cxr_lightning.utils.file_names import CHECKPOINT_FOLDER
from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.latest_model import LATEST, newest_best_checkpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobInputs:
    """Inputs of the job of evaluate.py.

    Attributes:
        evaluated: Predictions to evaluate, and the tables of their images.
        validation: Predictions of images to fit on; None if there are none.
        stored: Post-processing that is stored with the model; None if there is none.
        model: The model that made the predictions; None for a predictions file.
        datamodule: The data of the images.
    """

    evaluated: EvaluationInputs
    validation: Predictions | None
    stored: PostProcessing | None
    model: ChestXRayClassifier | None
    datamodule: ChestXRayDataModule


def from_checkpoint(settings: EvaluateSettings, given: ChestXRayDataModule | None = None) -> JobInputs:
    """Predict the split and the validation images with a checkpoint.

    Args:
        settings: The settings of the evaluation.
        given: The data; by default that of the settings, or of the checkpoint.

    Raises:
        FileNotFoundError: If the checkpoint or the data is not there.
        ValueError: If the checkpoint or the data cannot be used.
    """
    check_device_settings(settings.accelerator, settings.devices, settings.precision)
    path = _find_checkpoint(settings)
    if is_foreign_file(path):
        if given is not None:
            raise ValueError(f"Expected settings of the data beside '{path}', not a data module. First: cxr convert.")
        model, datamodule = load_foreign(path, settings)
    elif settings.has_source:
        raise ValueError(f"Expected no `source` settings beside '{path}': a checkpoint has them. Leave them out.")
    else:
        model = load_classifier(path)
        if given is not None:
            check_datamodule(given, model.labels, model.hparams)
        datamodule = given or build_datamodule(settings, model.metadata, model.labels, model.hparams)
        recorded = given is None and settings.data is None
        load_data(datamodule, settings, images=(settings.split, "val"), recorded=recorded)
    evaluated = datamodule.rows(settings.split)
    if unknown := [label for label in datamodule.labels if label not in model.labels]:
        raise ValueError(
            f"Expected data with labels among the model's, {list(model.labels)}, but got {unknown[:5]}. Leave them out."
        )
    check_heatmaps(settings, model, evaluated["image_id"].tolist())
    trained_on = model.metadata.get("data")
    training_split = recorded_split(trained_on, datamodule) if trained_on else None
    notes: tuple[Statement, ...] = ()
    if training_split is not None:
        notes = tuple(find_overlap(evaluated, training_split))
    elif trained_on and trained_on["source"] == datamodule.manifest.source:
        notes = (statement("overlap_unknown"),)
    predictions, device = _predict(model, datamodule, evaluated, settings)
    inputs = _evaluation_inputs(
        datamodule,
        predictions,
        PredictionSource(_short_name(Path(path)), _metadata(path, model)),
        settings,
        predictor=f"{device}, {settings.precision}",
        notes=notes,
    )
    if settings.split == "val":  # nothing may be fitted on evaluated images
        return JobInputs(inputs, None, None, model, datamodule)
    rows = fitting_rows(datamodule.manifest.table, evaluated, training_split)
    if not rows.empty:
        validation, _ = _predict(model, datamodule, rows, settings)
        return JobInputs(inputs, validation, None, model, datamodule)
    stored = read_postprocessing(model.metadata["fitted"]) if "fitted" in model.metadata else None
    return JobInputs(inputs, None, stored, model, datamodule)


def from_predictions_file(settings: EvaluateSettings) -> JobInputs:
    """Read the predictions of the split in a file, and those of validation images in another."""
    datamodule: ChestXRayDataModule = instantiate(dict(settings.data or {}), _convert_="all")
    path = Path(str(settings.predictions))
    val_path = Path(settings.val_predictions) if settings.val_predictions else None
    load_data(datamodule, settings, images=())
    rows = datamodule.rows(settings.split)
    predictions, missing = join_predictions(path, rows, allow_missing=settings.allow_missing)
    absent = [label for label in datamodule.labels if label not in predictions.labels]
    notes = (statement("labels_without_column", labels=absent),) if absent else ()
    validation = _validation_predictions(settings, val_path, datamodule, predictions) if val_path else None
    source = PredictionSource(path.name)
    inputs = _evaluation_inputs(datamodule, predictions, source, settings, missing=missing, notes=notes)
    return JobInputs(inputs, validation, None, None, datamodule)


def _validation_predictions(
    settings: EvaluateSettings, path: Path, datamodule: ChestXRayDataModule, predictions: Predictions
) -> Predictions:
    # Any images that are not evaluated: the other model may have another validation split.
    table = datamodule.manifest.table
    others = table[table["split"] != settings.split]
    found, _ = join_predictions(path, others, allow_missing=True)
    if unfitted := [label for label in predictions.labels if label not in found.labels]:
        raise ValueError(
            f"Expected the labels of '{settings.predictions}' in '{path}' too but it lacks {unfitted}. Add the columns."
        )
    return found.columns(predictions.labels)


def _find_checkpoint(settings: EvaluateSettings) -> str:
    if settings.ckpt != LATEST:
        return str(settings.ckpt)
    newest = newest_best_checkpoint(Path(settings.paths.log_dir))
    logger.info("checkpoint: %s", newest)
    return str(newest)


def _metadata(path: str, model: ChestXRayClassifier) -> dict[str, object]:
    """Metadata of the model for the report."""
    return {
        "file": path,
        "sha256": file_sha256(Path(path)),
        "hyperparameters": dict(model.hparams),
        **model.metadata,
    }


def _short_name(path: Path) -> str:
    """The file's name, with that of the run's folder if it is in one."""
    return f"{path.absolute().parents[1].name}/{path.name}" if path.parent.name == CHECKPOINT_FOLDER else path.name


def _predict(
    model: ChestXRayClassifier, datamodule: ChestXRayDataModule, rows: pd.DataFrame, settings: EvaluateSettings
) -> tuple[Predictions, str]:
    """Probabilities of the data's labels, and the device that computed them."""
    logger.info("predicting %s images", f"{len(rows):,}")
    probabilities, device = predict_batches(
        model,
        datamodule.rows_dataloader(rows),
        accelerator=settings.accelerator,
        devices=settings.devices,
        precision=settings.precision,
        progress=settings.progress_bar,
    )
    columns = [model.labels.index(label) for label in datamodule.labels]
    return predictions_of(rows, datamodule.labels, probabilities[:, columns]), device


def _evaluation_inputs(
    datamodule: ChestXRayDataModule,
    predictions: Predictions,
    source: PredictionSource,
    settings: EvaluateSettings,
    *,
    missing: int = 0,
    predictor: str = "",
    notes: tuple[Statement, ...] = (),
) -> EvaluationInputs:
    rows = datamodule.rows(settings.split)
    return EvaluationInputs(
        predictions=predictions,
        table=rows[rows["image_id"].isin(set(predictions.image_ids))].reset_index(drop=True),
        train=datamodule.rows("train"),
        data=datamodule.record(),
        source=source,
        split=settings.split,
        missing=missing,
        predictor=predictor,
        notes=notes,
    )
