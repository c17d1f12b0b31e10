"""From a configuration's nodes to the objects of a run: the model and the trainer."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.utils.distributed import cluster_plugins

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from cxr_lightning.checkpoints.initial_weights import Initial
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.models.classifier import ChestXRayClassifier
    from cxr_lightning.training.callbacks import History

logger = logging.getLogger(__name__)


def build_model(config: DictConfig, datamodule: "ChestXRayDataModule") -> "ChestXRayClassifier":
    """The model with what comes from the training data: labels, loss weights, pixel statistics, record."""
    from cxr_lightning.checkpoints.reference import give_reference
    from cxr_lightning.losses.bce import constant_prediction_loss

    targets = datamodule.targets("train")
    loss = instantiate(config.loss, _convert_="all")(targets)
    extra: dict[str, Any] = {}
    if config.model.preprocessing == "featurewise" and config.model.mean is None:
        extra = _pixel_statistics(datamodule, Path(config.paths.output_dir) / "statistics.json")
    initial = _initial(config, datamodule)
    if initial is not None:
        given = {name: value for name, value in initial.variations.items() if name not in config.model}
        extra |= {"weights": initial.state, **given}
    model: ChestXRayClassifier = instantiate(
        config.model, labels=list(datamodule.labels), loss=loss, _convert_="all", **extra
    )
    give_reference(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    logger.info("%s with %d outputs: %s parameters", config.model.backbone, len(model.labels), f"{parameters:,}")
    prevalence = targets.nanmean(dim=0)
    model.record |= {
        "initial_weights": config.model.weights,
        **({"source": initial.source} if initial is not None else {}),
        "data": datamodule.record(),
        "prevalence": dict(zip(datamodule.labels, prevalence.tolist(), strict=True)),
        "constant_loss": {
            split: constant_prediction_loss(loss, prevalence, datamodule.targets(split)) for split in ("train", "val")
        },
        "precision": config.trainer.precision,
        "monitor": config.monitor.name,
    }
    return model


def _pixel_statistics(datamodule: "ChestXRayDataModule", path: Path) -> dict[str, float]:
    """Mean and standard deviation of training pixels: computed by one of a run's processes, read by the others."""
    from filelock import FileLock

    from cxr_lightning.checkpoints.foreign.build import STATISTICS_IMAGES, training_statistics

    images = datamodule.record()["splits"]["train"]
    with FileLock(path.with_suffix(".lock")):
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if kept.get("images") != images:
            mean, std = training_statistics(datamodule)
            kept = {"mean": mean, "std": std, "images": images}
            path.write_text(json.dumps(kept), encoding="utf-8")
            logger.info("pixels of at most %d training images: mean %.3f, std %.3f", STATISTICS_IMAGES, mean, std)
    return {name: kept[name] for name in ("mean", "std")}


def _initial(config: DictConfig, datamodule: "ChestXRayDataModule") -> "Initial | None":
    """The weights in a file; None for random and ImageNet's, which the model gets by itself."""
    if config.model.weights in (None, "imagenet"):
        return None
    from cxr_lightning.checkpoints.initial_weights import read_initial

    found = read_initial(config.model.weights, config.model.backbone, datamodule.labels)
    logger.info("%s: %s", config.model.weights, "; ".join((found.source["format"], *found.source["decisions"])))
    return found


def build_trainer(config: DictConfig) -> tuple["pl.Trainer", "History"]:
    """The trainer with its callbacks and loggers, and the callback that keeps the run's history."""
    from cxr_lightning.checkpoints.save import CheckpointFiles
    from cxr_lightning.training.callbacks import History, SameSettings, StepSeeds

    callbacks = [instantiate(node, _convert_="all") for node in config.callbacks.values() if node is not None]
    callbacks = [callback for callback in callbacks if callback is not None]
    history = next((callback for callback in callbacks if isinstance(callback, History)), None)
    if history is None:
        history = History(config.paths.output_dir)
        callbacks.append(history)
    loggers = [instantiate(node, _convert_="all") for node in (config.logger or {}).values() if node is not None]
    if not loggers:  # Lightning's monitor of the rate refuses to run without one
        callbacks = [callback for callback in callbacks if type(callback).__name__ != "LearningRateMonitor"]
    trainer: pl.Trainer = instantiate(
        config.trainer,
        callbacks=[
            SameSettings(f"{OmegaConf.to_yaml(config)}{config.paths.output_dir}"),
            StepSeeds(config.seed),
            *callbacks,
        ],
        logger=loggers or False,
        plugins=[CheckpointFiles(), *cluster_plugins()],
        use_distributed_sampler=False,  # the data module gives every device its share
        _convert_="all",
    )
    return trainer, history
