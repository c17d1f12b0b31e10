"""Predict the batches of a DataLoader with Lightning, on one or several devices."""

from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from cxr_lightning.data.dataset import Sample
from cxr_lightning.inference.backend import Precision
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.cluster import cluster_plugins
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.precision import exact_float32
from cxr_lightning.utils.progress import Advance, progress_bar


class BatchPredictions(NamedTuple):
    """Probabilities of images, and the device that computed them."""

    probabilities: NDArray[np.float64]
    """``(N, C)`` in [0, 1]."""
    device: str
    """Device that computed them, such as ``cpu`` or ``cuda (NVIDIA H100)``."""


class _Progress(pl.Callback):
    """Shows how many images are predicted; other devices are taken to be as far as this one."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Any,  # noqa: ANN401  # Lightning's type
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.advance(len(batch["image"]) * trainer.world_size)


def predict_batches(
    model: ChestXRayClassifier,
    loader: DataLoader[Sample],
    *,
    accelerator: str = "auto",
    devices: int = 1,
    precision: Precision = "float32",
    progress: bool = True,
) -> BatchPredictions:
    """Probabilities of every image, in the loader's order.

    Args:
        model: A model of C labels.
        loader: Batches of N images, in order.
        accelerator: ``auto``, ``cpu``, ``gpu`` or ``mps``.
        devices: Number of devices, one process each, that divide the images and all get the result; -1 for all.
        precision: ``bf16`` multiplies in bfloat16, which is faster where the processor has it, and less exact.
        progress: Whether to show the progress.

    Raises:
        ValueError: If the device is not available.
    """
    images = len(loader.dataset)  # type: ignore[arg-type]  # torch's type does not say that it has a length
    with exact_float32(), progress_bar("predicting", images, shown=progress and is_rank_zero()) as advance:
        trainer = _trainer(accelerator, devices, precision, _Progress(advance))
        batches = trainer.predict(model, loader)
    if batches is None:
        raise RuntimeError("Expected predictions but the trainer gave none.")
    tensors = [batch for batch in batches if isinstance(batch, torch.Tensor)]
    local = torch.cat(tensors).double().cpu().numpy()
    return BatchPredictions(
        _gather(local, trainer.world_size), _device_name(trainer.strategy.root_device, trainer.world_size)
    )


def _gather(local: NDArray[np.float64], devices: int) -> NDArray[np.float64]:
    """Gather the rows of all devices in order; device ``rank`` has every ``devices``-th row from ``rank`` on."""
    if devices == 1:
        return local
    parts: list[Any] = [None] * devices
    torch.distributed.all_gather_object(parts, local)
    gathered = np.empty((sum(map(len, parts)), local.shape[1]))
    for rank, part in enumerate(parts):
        gathered[rank::devices] = part
    return gathered


def check_device_settings(accelerator: str, devices: int, precision: Precision) -> None:
    """Refuse devices that are not there, before the data is read for them.

    Args:
        accelerator: As in :func:`predict_batches`.
        devices: As in :func:`predict_batches`.
        precision: As in :func:`predict_batches`.

    Raises:
        ValueError: If there are no such devices.
    """
    _trainer(accelerator, devices, precision, pl.Callback())


def _device_name(device: torch.device, devices: int) -> str:
    name = f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
    return name if devices == 1 else f"{devices} x {name}"


def _trainer(accelerator: str, devices: int, precision: Precision, progress: pl.Callback) -> pl.Trainer:
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=devices,
            strategy="auto" if devices == 1 else "ddp",
            plugins=[*cluster_plugins()],
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            logger=False,
            callbacks=[progress],
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ValueError(
            f"Expected a usable `accelerator` and `devices` but got {accelerator!r} and {devices} ({error}). "
            "Try 'accelerator=auto'."
        ) from error
