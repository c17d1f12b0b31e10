"""The LightningModule: training, logging and self-contained checkpoints."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from cxr_lightning.labels import check_labels
from cxr_lightning.losses.bce import MultilabelBCE
from cxr_lightning.metrics.label_auroc import LabelAUROC
from cxr_lightning.metrics.ranking import macro_mean
from cxr_lightning.models.backbones.densenet import TORCHVISION_BATCH_NORM_EPSILON
from cxr_lightning.models.checkpoint_entries import read_entries, write_entries
from cxr_lightning.models.compilation import CompiledForward
from cxr_lightning.models.network import Network
from cxr_lightning.models.optimization import (
    MakeOptimizer,
    MakeScheduler,
    clip_fused,
    configure_schedule,
    is_fused,
    scheduled_groups,
    set_learning_rate,
    step_plateau_schedules,
)
from cxr_lightning.models.reference_pair import ReferencePair
from cxr_lightning.models.settings_model import Mode, check_recorded_settings
from cxr_lightning.models.untrained import untrained_among, untrained_columns
from cxr_lightning.models.weights import load_initial_weights
from cxr_lightning.utils.checked_loading import CheckedLoading
from cxr_lightning.utils.file_names import METADATA_FORMAT
from cxr_lightning.utils.versions import versions

_NOT_IN_CHECKPOINT = ("weights", "compile", "loss", "optimizer", "scheduler", "monitor")


class ChestXRayClassifier(CheckedLoading, pl.LightningModule):  # type: ignore[misc]  # Lightning's is no plain classmethod
    """A multi-label classifier of gray images.

    Args:
        labels: Finding names, in output order.
        backbone: See :func:`~cxr_lightning.models.backbones.registry.find_backbone`.
        weights: Initial weights: None (random), ``imagenet``, or tensors in torchvision's names; not kept in the
            checkpoint.
        image_size: Side of the images in pixels.
        interpolation: Interpolation with which images are resized.
        preprocessing, mean, std, batch_norm_epsilon, final_relu, drop_rate: See
            :class:`~cxr_lightning.models.network.Network`.
        variations: Further arguments of a backbone of one's own, by name.
        freeze_backbone: Train only the last layer; the rest keeps its batch-norm statistics too.
        compile: Compile the network with torch for training; takes minutes before the first step.
        loss: Any module as described in :mod:`cxr_lightning.losses.contract`; unweighted binary cross-entropy if not
            given. A checkpoint holds its state, and is loaded without it where the loss is another one.
        optimizer: Factory of the optimizer, from the parameters.
        scheduler: Factory of the schedule, from the optimizer (and ``total_steps`` if it takes that argument).
        monitor: Logged name of the metric that a plateau schedule monitors.

    Attributes:
        network: The :class:`~cxr_lightning.models.network.Network`.
        metadata: Metadata of the checkpoint: data, versions, initial weights; plain values.
        reference: The reference image and its probabilities in the checkpoint; None if there is none.
        lr: The learning rate that Lightning's LearningRateFinder has set, by this name; None: the optimizer's own.
        val_auroc_by_label: AUROC of the last validation, by label.
        test_auroc_by_label: AUROC of the last test, by label.
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
        variations: Mapping[str, Any] | None = None,
        freeze_backbone: bool = False,
        compile: bool = False,
        loss: nn.Module | None = None,
        optimizer: MakeOptimizer = torch.optim.AdamW,
        scheduler: MakeScheduler | None = None,
        monitor: str = "val/auroc",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=_NOT_IN_CHECKPOINT)
        self.labels = check_labels(labels)
        self.network = Network(
            backbone,
            len(self.labels),
            preprocessing=preprocessing,
            mean=mean,
            std=std,
            image_size=image_size,
            batch_norm_epsilon=batch_norm_epsilon,
            final_relu=final_relu,
            drop_rate=drop_rate,
            **(variations or {}),
        )
        load_initial_weights(self.network.backbone, backbone, weights)
        self._compiled = CompiledForward(self.network) if compile else None
        self.frozen = freeze_backbone
        if freeze_backbone:
            self.network.freeze_backbone()  # Lightning does not call train() when a fit begins
        self.loss = loss if loss is not None else MultilabelBCE(len(self.labels))
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.monitor = monitor
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_auroc = LabelAUROC(len(self.labels))
        self.test_auroc = LabelAUROC(len(self.labels))
        self.metadata: dict[str, Any] = {
            "format": METADATA_FORMAT,
            "versions": versions(),
            "initial_weights": weights if isinstance(weights, str | None) else "given",
        }
        self.reference: ReferencePair | None = None
        self.lr: float | None = None
        self.val_auroc_by_label: dict[str, float] = {}
        self.test_auroc_by_label: dict[str, float] = {}

    @property
    def backbone(self) -> nn.Module:
        """All layers but the last one, for Lightning's BackboneFinetuning, which looks for this name."""
        return self.network.trunk

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            images: ``(B, 1, S, S)`` uint8, or float in [0, 255].

        Returns:
            ``(B, C)``.
        """
        forward = self._compiled if self._compiled is not None and self.training else self.network
        logits: Tensor = forward(images)
        return logits

    def train(self, mode: bool = True) -> "ChestXRayClassifier":
        """Switch between training and evaluation; a frozen backbone stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def on_train_start(self) -> None:
        """Drop the post-processing, which was fitted to earlier weights; use the learning rate that was found."""
        self.metadata.pop("fitted", None)
        if self.lr is not None:
            self.metadata["found_learning_rate"] = self.lr
            self.trainer.strategy.setup_optimizers(self.trainer)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch."""
        loss: Tensor = self.loss(self(batch["image"]).float(), batch["target"])
        size = len(batch["image"])
        self.log("train/loss_step", loss, prog_bar=True, on_step=True, on_epoch=False, batch_size=size)
        self.train_loss.update(loss, weight=size)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's mean loss; Lightning does not call this in an epoch that a run is resumed within."""
        self.train_loss.reset()

    def on_train_epoch_end(self) -> None:
        """Step a plateau schedule; Lightning would do so only after the epoch's checkpoint is written."""
        step_plateau_schedules(self.trainer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:  # noqa: ANN401  # Lightning's
        """Step a schedule that is no plateau schedule."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            with scheduled_groups(scheduler):
                super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score one batch."""
        self._score(batch, "val", self.val_auroc)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score one batch, in float32 whatever the training precision."""
        with torch.autocast(self.device.type, enabled=False):
            self._score(batch, "test", self.test_auroc)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Probabilities of one batch, ``(B, C)`` float32, NaN if untrained; computed in the trainer's precision."""
        probabilities: Tensor = self(batch["image"]).float().sigmoid()
        probabilities[:, untrained_columns(self.labels, self.metadata)] = math.nan
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
        values |= dict.fromkeys(untrained_among(self.labels, self.metadata), math.nan)
        metric.reset()
        mean, defined = macro_mean(values.values())
        self.log(f"{stage}/auroc", mean, prog_bar=True)
        self.log(f"{stage}/defined_labels", float(defined))
        self.log_dict({f"{stage}/auroc/{label}": value for label, value in values.items() if not math.isnan(value)})
        return values

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer of the trainable parameters, and its schedule."""
        optimizer = self.make_optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])
        if self.lr is not None:
            set_learning_rate(optimizer, self.lr)
        if self.make_scheduler is None:
            return optimizer
        return configure_schedule(optimizer, self.make_scheduler, self.trainer, self.monitor)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, also those of a fused optimizer; see :func:`clip_fused`."""
        if gradient_clip_val and is_fused(optimizer):
            clip_fused(optimizer, gradient_clip_val, gradient_clip_algorithm, self.trainer.precision_plugin)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the metadata, the reference image and the epoch's loss so far."""
        write_entries(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what :meth:`on_save_checkpoint` added; adapt the tensors of version 0.1, and of another loss."""
        read_entries(self, checkpoint)

    @classmethod
    def check_loaded(cls, content: Mapping[Any, Any], path: str) -> None:
        """Check a checkpoint's content before a model is built from it."""
        super().check_loaded(content, path)
        check_recorded_settings(content.get("hyper_parameters"), path)
