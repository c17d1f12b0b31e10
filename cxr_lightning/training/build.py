"""Build the model, the callbacks and the trainer's arguments of a run from the configured parts."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.loggers import Logger

from cxr_lightning.checkpoints.initial_weights import InitialWeights, read_initial_weights
from cxr_lightning.checkpoints.installation_check import attach_reference
from cxr_lightning.checkpoints.save import AtomicCheckpointIO
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.training_labels import untrained_labels
from cxr_lightning.losses.contract import constant_loss, loss_name, make_loss
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.untrained import UNTRAINED_KEY
from cxr_lightning.models.weights import IMAGENET
from cxr_lightning.training.callbacks import (
    History,
    LightningCallbacks,
    PendingAverages,
    ProgressLog,
    ResumedRun,
    SameSettings,
    StepSeeds,
)
from cxr_lightning.training.pixel_statistics import shared_training_statistics
from cxr_lightning.training.run_settings import RunSettings
from cxr_lightning.utils.cluster import cluster_plugins

logger = logging.getLogger(__name__)

SWITCHED_CALLBACKS: dict[str, type[pl.Callback]] = {
    "enable_progress_bar": ProgressBar,
    "enable_checkpointing": Checkpoint,
}
"""Arguments of the trainer that switch callbacks off, and the classes of these."""


def build_model(
    datamodule: ChestXRayDataModule,
    configured_loss: object,
    make_model: Callable[..., ChestXRayClassifier],
    settings: Mapping[str, Any],
    *,
    folder: Path,
    metadata: Mapping[str, Any],
) -> ChestXRayClassifier:
    """Build the model with what is derived from the training data: labels, loss weights, pixel statistics, metadata.

    Args:
        datamodule: The data, set up.
        configured_loss: The loss, or its factory, which is called with the training targets ``(N, C)``.
        make_model: Factory of the model, called with ``labels``, ``loss``, and with ``mean``, ``std``, ``weights`` and
            the backbone's variations where they come from the data or a weights file.
        settings: The model's settings: ``backbone``, ``weights``, ``preprocessing``, ``mean`` and others.
        folder: The run's folder.
        metadata: Further metadata for the checkpoint.
    """
    targets = datamodule.targets("train")
    loss = make_loss(configured_loss, targets)
    computed: dict[str, Any] = {}
    if settings["preprocessing"] == "featurewise" and settings["mean"] is None:
        computed = shared_training_statistics(datamodule, folder)
    initial = _initial_weights(settings, datamodule.labels)
    if initial is not None:
        variations = {name: value for name, value in initial.variations.items() if name not in settings}
        computed |= {"weights": initial.state, **variations}
    model = make_model(labels=list(datamodule.labels), loss=loss, **computed)
    attach_reference(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    logger.info("%s with %d outputs: %s parameters", settings["backbone"], len(model.labels), f"{parameters:,}")
    prevalence = targets.nanmean(dim=0)
    model.metadata |= {
        "initial_weights": settings["weights"],
        **({"source": initial.source} if initial is not None else {}),
        "data": datamodule.record(),
        UNTRAINED_KEY: list(untrained_labels(datamodule.manifest)),
        "prevalence": dict(zip(datamodule.labels, prevalence.tolist(), strict=True)),
        "loss": loss_name(loss),
        "constant_loss": {
            split: constant_loss(loss, prevalence, datamodule.targets(split)) for split in ("train", "val")
        },
        **metadata,
    }
    return model


def _initial_weights(settings: Mapping[str, Any], labels: Sequence[str]) -> InitialWeights | None:
    """The weights in a file; None for random and ImageNet weights, which the model loads itself."""
    if settings["weights"] in (None, IMAGENET):
        return None
    initial = read_initial_weights(settings["weights"], settings["backbone"], labels)
    logger.info("%s: %s", settings["weights"], "; ".join((initial.source["format"], *initial.source["decisions"])))
    return initial


def complete_callbacks(
    callbacks: Sequence[pl.Callback], *, folder: str, seed: int, settings: RunSettings, text: str
) -> tuple[list[pl.Callback], History]:
    """All callbacks of a run: the configured ones and those that every run has.

    Args:
        callbacks: The configured callbacks.
        folder: The run's folder.
        seed: The run's seed.
        settings: The run's settings, as far as they tell which run it is.
        text: Text of all settings, which must be the same in all processes of the run.

    Returns:
        All callbacks, and the one that keeps the run's history.
    """
    used = list(callbacks)
    history = next((callback for callback in used if isinstance(callback, History)), None)
    if history is None:
        history = History(folder)
        used.append(history)
    logs = [callback for callback in used if isinstance(callback, ProgressLog)]
    others = [callback for callback in used if callback not in logs]
    own = [SameSettings(text), StepSeeds(seed), PendingAverages()]
    resumed = ResumedRun(Path(folder), settings)
    # An average is completed before its own callback uses it; the log reads the epoch's row of the history; callbacks
    # such as Lightning's BackboneFinetuning make an optimizer's groups before its state is checked.
    return [*own, *others, *logs, resumed, LightningCallbacks()], history


def trainer_arguments(callbacks: Sequence[pl.Callback], loggers: Sequence[Logger]) -> dict[str, Any]:
    """Arguments of the trainer that the program gives, beside or in the place of the configured ones.

    Args:
        callbacks: All callbacks of the run.
        loggers: Its loggers.
    """
    return {
        "callbacks": list(callbacks),
        "logger": list(loggers) or False,
        # Checkpoints are written atomically; jobs of SLURM are not requeued.
        "plugins": [AtomicCheckpointIO(), *cluster_plugins()],
        "use_distributed_sampler": False,  # the data module has samplers of its own
        # Without these, Lightning adds a progress bar and a checkpoint where there is none.
        **{
            name: any(isinstance(callback, kind) for callback in callbacks) for name, kind in SWITCHED_CALLBACKS.items()
        },
    }
