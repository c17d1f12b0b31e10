"""The LightningModule: a backbone, its preprocessing, the loss, and what is logged."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric

from cxr_lightning.labels import check_labels
from cxr_lightning.losses.bce import MultilabelBCE
from cxr_lightning.metrics.ranking import macro_mean
from cxr_lightning.metrics.streaming import LabelAUROC
from cxr_lightning.models.backbones import TORCHVISION_BATCH_NORM_EPSILON, build_backbone, freeze_all_but_head
from cxr_lightning.models.preprocess import Mode, Preprocess
from cxr_lightning.models.reference import Reference, exact_probabilities
from cxr_lightning.models.weights import load_initial_weights
from cxr_lightning.utils.torch_io import RECORD_KEY
from cxr_lightning.utils.versions import versions

_EPOCH_KEY = "cxr_lightning_epoch"
"""A checkpoint's sum of losses and number of images of an epoch that has begun."""
OF_TRAINING = ("weights", "compile", "loss", "optimizer", "scheduler", "monitor")
"""Arguments that a checkpoint does not carry."""
REFERENCE_KEY = "cxr_lightning_reference"
"""A checkpoint's picture and its probabilities, to be computed again elsewhere."""


class ChestXRayClassifier(pl.LightningModule):
    """A multi-label classifier of grey images.

    Args:
        labels: Finding names, in output order.
        backbone: A name in ``cxr_lightning.models.backbones.BACKBONES``.
        weights: What training starts from: None (random), ``imagenet``, a file, or the tensors themselves, in
            torchvision's names; not kept in the checkpoint.
        image_size: Side of the images in pixels.
        interpolation: How images are resized to it.
        preprocessing: ``imagenet``, ``featurewise``, ``samplewise`` or ``none``.
        mean: Of the training pixels in [0, 255], with ``featurewise``.
        std: Likewise.
        batch_norm_epsilon: Of a DenseNet's batch normalisations; those from Keras have 1.001e-5.
        final_relu: Whether a DenseNet has an activation after its last batch normalisation.
        drop_rate: Share of a DenseNet's features that each of its layers drops in training.
        freeze_backbone: Let only the last layer learn; the rest keeps its batch-norm statistics too.
        compile: Have torch compile the network for training; it takes minutes before the first step.
        loss: From :func:`~cxr_lightning.losses.bce.build_loss`; unweighted if not given. A checkpoint holds its
            weights.
        optimizer: Given the parameters, makes the optimizer.
        scheduler: Given the optimizer (and ``total_steps`` if it takes that), makes the schedule.
        monitor: Logged name that a schedule on plateau watches.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        backbone: str = "densenet121",
        weights: str | Mapping[str, Tensor] | None = None,
        image_size: int = 224,
        interpolation: str = "bilinear",
        preprocessing: Mode = "imagenet",
        mean: float | None = None,
        std: float | None = None,
        batch_norm_epsilon: float = TORCHVISION_BATCH_NORM_EPSILON,
        final_relu: bool = True,
        drop_rate: float = 0.0,
        freeze_backbone: bool = False,
        compile: bool = False,
        loss: nn.Module | None = None,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = torch.optim.AdamW,
        scheduler: Callable[..., LRScheduler | ReduceLROnPlateau] | None = None,
        monitor: str = "val/auroc",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=OF_TRAINING)
        self.labels = check_labels(labels)
        self.preprocess = Preprocess(preprocessing, mean=mean, std=std)
        self.network = build_backbone(
            backbone,
            len(self.labels),
            batch_norm_epsilon=batch_norm_epsilon,
            final_relu=final_relu,
            drop_rate=drop_rate,
        )
        load_initial_weights(self.network, backbone, weights)
        # Channels last is what the processors' convolutions are fastest with; parameters and images both.
        self.network.to(memory_format=torch.channels_last)
        # Of the method: a compiled module would be in the checkpoint under names of its own.
        self._compiled = torch.compile(self.network.forward) if compile else None
        self._compiled_size: int | None = None
        self.frozen = freeze_backbone
        if freeze_backbone:
            freeze_all_but_head(self.network, backbone)
            self.network.eval()  # Lightning does not call train() when a fit begins
        self.loss = loss if loss is not None else MultilabelBCE(len(self.labels))
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.monitor = monitor
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_auroc = LabelAUROC(len(self.labels))
        self.test_auroc = LabelAUROC(len(self.labels))
        origin = weights if isinstance(weights, str | None) else "given"
        self.record: dict[str, Any] = {"format": 1, "versions": versions(), "initial_weights": origin}
        self.reference: Reference | None = None
        self.val_auroc_by_label: dict[str, float] = {}
        self.test_auroc_by_label: dict[str, float] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].

        Returns:
            ``(B, C)``.
        """
        pixels = self.preprocess(images).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self._network_for(pixels)(pixels)
        return logits

    def _network_for(self, pixels: Tensor) -> Callable[[Tensor], Tensor]:
        """The network; compiled for training, except for a last, smaller batch, which would be compiled anew."""
        if self._compiled is None or not self.training:
            return self.network
        self._compiled_size = self._compiled_size or len(pixels)
        return self._compiled if len(pixels) == self._compiled_size else self.network

    def train(self, mode: bool = True) -> "ChestXRayClassifier":
        """Switch between training and evaluation; a frozen backbone stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def on_train_start(self) -> None:
        """What was fitted to earlier weights is not carried on."""
        self.record.pop("fitted", None)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch."""
        loss: Tensor = self.loss(self(batch["image"]), batch["target"])
        size = len(batch["image"])
        self.log("train/loss_step", loss, prog_bar=True, on_step=True, on_epoch=False, batch_size=size)
        self.train_loss.update(loss, weight=size)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's mean; not called in an epoch that a run goes on in."""
        self.train_loss.reset()

    def on_train_epoch_end(self) -> None:
        """Step a schedule on plateau; Lightning would after the epoch's checkpoint is written, which then lacks it."""
        epoch = self.trainer.current_epoch + 1
        for config in self.trainer.lr_scheduler_configs:
            monitored = self.trainer.callback_metrics.get(config.monitor or "")
            if config.reduce_on_plateau and epoch % config.frequency == 0 and monitored is not None:
                config.scheduler.step(float(monitored))  # type: ignore[arg-type]  # on plateau it is a number

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:  # noqa: ANN401  # Lightning's
        """Step a schedule that is not on plateau."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score one batch."""
        self._score(batch, "val", self.val_auroc)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score one batch, in float32 whatever the training precision."""
        with torch.autocast(self.device.type, enabled=False):
            self._score(batch, "test", self.test_auroc)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Probabilities of one batch, ``(B, C)`` float32; computed in the trainer's precision."""
        probabilities: Tensor = self(batch["image"]).float().sigmoid()
        return probabilities

    def _score(self, batch: dict[str, Tensor], stage: str, metric: LabelAUROC) -> None:
        logits = self(batch["image"]).float()
        loss = self.loss(logits, batch["target"])
        self.log(f"{stage}/loss", loss, sync_dist=True, batch_size=len(logits))
        metric.update(logits.sigmoid(), batch["target"])

    def on_validation_epoch_end(self) -> None:
        """Log the AUROC of each label and their mean."""
        self.val_auroc_by_label = self._log_auroc("val", self.val_auroc)

    def on_test_epoch_end(self) -> None:
        """Log the AUROC of each label and their mean."""
        self.test_auroc_by_label = self._log_auroc("test", self.test_auroc)

    def _log_auroc(self, stage: str, metric: LabelAUROC) -> dict[str, float]:
        values = dict(zip(self.labels, metric.compute(), strict=True))
        metric.reset()
        mean, defined = macro_mean(values.values())
        self.log(f"{stage}/auroc", mean, prog_bar=True)
        self.log(f"{stage}/defined_labels", float(defined))
        self.log_dict({f"{stage}/auroc/{label}": value for label, value in values.items() if not math.isnan(value)})
        return values

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer of what may learn, and its schedule."""
        optimizer = self.make_optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])
        if self.make_scheduler is None:
            return optimizer
        if "total_steps" in inspect.signature(self.make_scheduler).parameters:
            steps = self.trainer.estimated_stepping_batches
            if math.isinf(steps):
                raise ValueError(
                    "Expected a run of known length for this schedule but `trainer.max_epochs` is -1. "
                    "Set `trainer.max_epochs` or `trainer.max_steps`, or use 'scheduler=plateau'."
                )
            schedule = self.make_scheduler(optimizer, total_steps=int(steps))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
        schedule = self.make_scheduler(optimizer)
        if not isinstance(schedule, ReduceLROnPlateau):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}
        # The monitored number exists only in epochs that validate.
        frequency = self.trainer.check_val_every_n_epoch or 1
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": schedule,
                "interval": "epoch",
                "frequency": frequency,
                "monitor": self.monitor,
            },
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; Lightning itself refuses to with a fused optimizer, which is sound unless gradients are scaled.

        Raises:
            ValueError: If they are (16-mixed).
        """
        if not gradient_clip_val or not getattr(optimizer, "_step_supports_amp_scaling", False):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        if getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            raise ValueError(
                "Expected an optimizer that is not fused for gradient clipping in float16. Set 'optimizer.fused=false'."
            )
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the checkpoint usable without any file beside it."""
        auroc = {label: None if math.isnan(value) else value for label, value in self.val_auroc_by_label.items()}
        checkpoint[RECORD_KEY] = {**self.record, "labels": list(self.labels), "val_auroc": auroc}
        if self.reference is not None:
            image = self.reference.image
            checkpoint[REFERENCE_KEY] = {"image": image, "probabilities": exact_probabilities(self, image)}
        with self.train_loss.sync_context():  # of all devices
            checkpoint[_EPOCH_KEY] = [float(self.train_loss.mean_value), float(self.train_loss.weight)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what :meth:`on_save_checkpoint` added."""
        record = dict(checkpoint.get(RECORD_KEY, {}))
        auroc = record.pop("val_auroc", {})
        self.val_auroc_by_label = {label: math.nan if value is None else value for label, value in auroc.items()}
        self.record = record or self.record
        if REFERENCE_KEY in checkpoint:
            self.reference = Reference(**checkpoint[REFERENCE_KEY])
        if _EPOCH_KEY in checkpoint and self.global_rank == 0:  # it has those of all devices
            self.train_loss.mean_value, self.train_loss.weight = torch.tensor(
                checkpoint[_EPOCH_KEY], device=self.device
            )
