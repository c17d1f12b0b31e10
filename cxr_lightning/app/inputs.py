"""What evaluate.py evaluates: a checkpoint's predictions of a split, or those in a file."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate
from omegaconf import DictConfig

from cxr_lightning.app.data import build_datamodule, load_data, load_foreign
from cxr_lightning.app.explanation import check_heatmaps

if TYPE_CHECKING:
    import pandas as pd

    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.evaluation.comparability import Origin
    from cxr_lightning.evaluation.evaluate import Subject
    from cxr_lightning.inference.predictions import Predictions
    from cxr_lightning.models.classifier import ChestXRayClassifier
    from cxr_lightning.models.postprocess import Fitted

LATEST = "latest"

logger = logging.getLogger(__name__)


def _find_checkpoint(config: DictConfig) -> str:
    if config.ckpt != LATEST:
        return str(config.ckpt)
    folder = Path(config.paths.log_dir) / "train"
    found = sorted(folder.glob("*runs/**/checkpoints/best.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise FileNotFoundError(
            f"Expected a run with checkpoints/best.ckpt below '{folder}' for ckpt=latest but there is none. "
            "Train first, or give the file."
        )
    logger.info("checkpoint: %s", found[-1])
    return str(found[-1])


@dataclass(frozen=True)
class Inputs:
    """What an evaluation is made from.

    Attributes:
        subject: What is evaluated.
        validation: Predictions of images to fit on; None if there are none.
        stored: What was fitted earlier and is stored with the model; None if nothing was.
        model: That made the predictions; None for those from elsewhere.
        datamodule: Of the images.
    """

    subject: "Subject"
    validation: "Predictions | None"
    stored: "Fitted | None"
    model: "ChestXRayClassifier | None"
    datamodule: "ChestXRayDataModule"


def from_checkpoint(config: DictConfig) -> Inputs:
    """What a checkpoint's model says of the split.

    Args:
        config: ``conf/evaluate.yaml``, composed.

    Raises:
        FileNotFoundError: If the checkpoint or the data is not there.
        ValueError: If one is not usable.
    """
    from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
    from cxr_lightning.checkpoints.load import load_model
    from cxr_lightning.data.manifest import file_sha256
    from cxr_lightning.evaluation.comparability import Origin
    from cxr_lightning.evaluation.leakage import describe_overlap, fitting_rows, recorded_split
    from cxr_lightning.models.postprocess import fitted_from_record

    path = _find_checkpoint(config)
    if is_foreign_file(path):
        model, datamodule = load_foreign(path, config)
    elif any(value is not None for value in config.source.values()):
        raise ValueError(f"Expected no `source` settings beside '{path}': a checkpoint says it all. Leave them out.")
    else:
        model = load_model(path)
        datamodule = build_datamodule(config, model.record, model.labels, model.hparams)
        load_data(datamodule, config, images=(config.split, "val"))
    evaluated = datamodule.rows(config.split)
    check_heatmaps(config, model, evaluated["image_id"].tolist())
    trained_on = model.record.get("data")
    then = recorded_split(trained_on, datamodule) if trained_on else None
    if then is not None:
        notes = tuple(describe_overlap(evaluated, then))
    elif trained_on and trained_on["source"] == datamodule.manifest.source:
        notes = ("Whether the model was trained on these images is not known: the label or list files have changed.",)
    else:
        notes = ()
    record = {
        "file": path,
        "sha256": file_sha256(Path(path)),
        "hyperparameters": dict(model.hparams),
        **model.record,
    }
    predictions, device = _predict(model, datamodule, evaluated, config)
    subject = _subject(
        datamodule,
        predictions,
        Origin(_short(Path(path)), record),
        config,
        accelerator=f"{device}, {config.precision}",
        notes=notes,
    )
    if config.split == "val":  # nothing may be fitted on what is evaluated
        return Inputs(subject, None, None, model, datamodule)
    rows = fitting_rows(datamodule.manifest.table, evaluated, then)
    if not rows.empty:
        validation, _ = _predict(model, datamodule, rows, config)
        return Inputs(subject, validation, None, model, datamodule)
    stored = fitted_from_record(model.record["fitted"]) if "fitted" in model.record else None
    return Inputs(subject, None, stored, model, datamodule)


def _short(path: Path) -> str:
    """The file's name, after its run's if it is in one."""
    return f"{path.absolute().parents[1].name}/{path.name}" if path.parent.name == "checkpoints" else path.name


def _predict(
    model: "ChestXRayClassifier", datamodule: "ChestXRayDataModule", rows: "pd.DataFrame", config: DictConfig
) -> "tuple[Predictions, str]":
    """Probabilities of the data's labels, and the device that computed them."""
    from cxr_lightning.inference.dataloader import predict
    from cxr_lightning.inference.predictions import of_table

    logger.info("predicting %s images", f"{len(rows):,}")
    loader = datamodule.rows_dataloader(rows)
    probabilities, device = predict(
        model,
        loader,
        accelerator=config.accelerator,
        devices=config.devices,
        precision=config.precision,
        progress=config.progress_bar,
    )
    columns = [model.labels.index(label) for label in datamodule.labels]
    return of_table(rows, datamodule.labels, probabilities[:, columns]), device


def from_file(config: DictConfig) -> Inputs:
    """What a predictions file says of the split, and another one of validation images; see :func:`from_checkpoint`."""
    from cxr_lightning.evaluation.comparability import Origin
    from cxr_lightning.inference.predictions import score_table

    datamodule: ChestXRayDataModule = instantiate(config.data, _convert_="all")
    for path in filter(None, (config.predictions, config.val_predictions)):
        if not Path(path).is_file():
            raise FileNotFoundError(f"Expected a predictions file at '{path}' but there is no such file.")
    load_data(datamodule, config, images=())
    rows = datamodule.rows(config.split)
    predictions, missing = score_table(Path(config.predictions), rows, allow_missing=config.allow_missing)
    absent = [label for label in datamodule.labels if label not in predictions.labels]
    notes = (f"The predictions have no column for {', '.join(absent)}.",) if absent else ()
    validation = None
    if config.val_predictions:
        # Any images that are not evaluated: which of them are for validation is the other model's own affair.
        table = datamodule.manifest.table
        others = table[table["split"] != config.split]
        found, _ = score_table(Path(config.val_predictions), others, allow_missing=True)
        if unfitted := [label for label in predictions.labels if label not in found.labels]:
            raise ValueError(
                f"Expected the labels of '{config.predictions}' in '{config.val_predictions}' too but it lacks "
                f"{unfitted}. Add the columns."
            )
        validation = found.columns(predictions.labels)
    origin = Origin(Path(config.predictions).name)
    subject = _subject(datamodule, predictions, origin, config, missing=missing, notes=notes)
    return Inputs(subject, validation, None, None, datamodule)


def _subject(
    datamodule: "ChestXRayDataModule",
    predictions: "Predictions",
    origin: "Origin",
    config: DictConfig,
    *,
    missing: int = 0,
    accelerator: str = "",
    notes: tuple[str, ...] = (),
) -> "Subject":
    from cxr_lightning.evaluation.evaluate import Subject
    from cxr_lightning.report.curves import data_title

    rows = datamodule.rows(config.split)
    data = datamodule.record()
    return Subject(
        predictions=predictions,
        table=rows[rows["image_id"].isin(set(predictions.image_ids))].reset_index(drop=True),
        train=datamodule.rows("train"),
        data=data,
        title=data_title(data, config.split, len(predictions.image_ids)),
        origin=origin,
        split=config.split,
        missing=missing,
        accelerator=accelerator,
        notes=notes,
    )
