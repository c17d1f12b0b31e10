"""The LightningDataModule: settings in, loaders out."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from cxr_lightning.data.augment import Augmentation
from cxr_lightning.data.dataset import ChestXRayDataset, EpochSampler, Sample
from cxr_lightning.data.images import Interpolation, check_interpolation, describe, find_broken
from cxr_lightning.data.manifest import SPLITS, Manifest, fingerprint
from cxr_lightning.data.sources import Source
from cxr_lightning.data.splits import (
    MissingPolicy,
    SplitMethod,
    assign_splits,
    check_method,
    check_policy,
    draw_subset,
    keep_views,
    require_splits,
    resolve_missing,
)
from cxr_lightning.labels import check_labels

logger = logging.getLogger(__name__)


class ChestXRayDataModule(pl.LightningDataModule):
    """Chest radiographs with multi-label targets, in three splits without a common patient.

    Args:
        root: The data set's folder.
        source: The layout of its files.
        labels: Findings, in output order; the layout's own by default.
        split: ``official`` or ``walkthrough`` (as the files say), ``patient`` (at random by patient) or ``all`` (one
            test set, for evaluating on data that nothing was trained on).
        seed: Draws the splits and subsets.
        shuffle_seed: Draws the order of the training images and their augmentation.
        val_fraction: Share of the images for validation, where the files leave it open.
        test_fraction: Share of the images for testing, with ``split=patient``.
        drop_leaked: Drop patients that are in a later split too, instead of stopping.
        views: View positions to keep, such as ``[PA]``; all by default.
        on_missing: ``error`` or ``skip`` images that are listed but not on disk.
        subset: Use about ``subset_images`` images per split.
        subset_images: Wished images per split of a subset, for ``train``, ``val`` and ``test``.
        image_size: Side that images are resized to, in pixels.
        interpolation: How they are resized.
        batch_size: Images per batch.
        num_workers: Loader processes; by default one less than the processor's cores, at most 8.
        augmentation: Training transforms; none by default.
    """

    def __init__(
        self,
        root: str,
        source: Source,
        *,
        labels: Sequence[str] | None = None,
        split: SplitMethod = "official",
        seed: int = 0,
        shuffle_seed: int = 0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        drop_leaked: bool = False,
        views: Sequence[str] | None = None,
        on_missing: MissingPolicy = "error",
        subset: bool = False,
        subset_images: Sequence[int] = (1000, 200, 400),
        image_size: int = 224,
        interpolation: Interpolation = "bilinear",
        batch_size: int = 16,
        num_workers: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("image_size", image_size, 32),  # five halvings: less is nothing to most networks
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("shuffle_seed", shuffle_seed, 0),
            ("num_workers", num_workers or 0, 0),
        ):
            if value < least:
                raise ValueError(f"Expected `data.{name}` to be at least {least} but got {value}.")
        if len(subset_images) != len(SPLITS) or min(subset_images) < 1:
            raise ValueError(f"Expected `data.subset_images` to be three positive numbers but got {subset_images}.")
        self.root = Path(root)
        self.source = source
        self.chosen_labels = None if labels is None else check_labels(labels)
        self.split = check_method(split)
        self.seed = seed
        self.shuffle_seed = shuffle_seed
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.drop_leaked = drop_leaked
        self.views = None if views is None else tuple(views)
        self.on_missing = check_policy(on_missing)
        self.subset = subset
        self.subset_images = tuple(subset_images)
        self.image_size = image_size
        self.interpolation = check_interpolation(interpolation)
        self.batch_size = batch_size
        self.num_workers = _default_workers() if num_workers is None else num_workers
        self.augmentation = augmentation
        self._manifest: Manifest | None = None

    def prepare_data(self) -> None:
        """Make what the source makes on first use (the synthetic set); in one process."""
        self.source.prepare(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Read the tables, find the images, divide them, and look at every file's first and last bytes.

        Raises:
            FileNotFoundError: If the folder, a table or an image is not there.
            ValueError: If a table is malformed, a patient is in two splits, a split is empty, or an image is broken.
        """
        self.load()

    def load(self, required: Sequence[str] = SPLITS, images: Sequence[str] = SPLITS) -> None:
        """Like :meth:`setup`, where not all is needed, as for evaluating; does nothing if the data is read already.

        Args:
            required: Splits that must not be empty.
            images: Splits whose images must be on disk. One that is not required may lack all of them; it is then
                left out.
        """
        if self._manifest is not None:
            return
        # First the splits: they are the same whatever part of the images is on disk.
        manifest = assign_splits(
            keep_views(self.source.read(self.root, self.chosen_labels), self.views),
            self.split,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            drop_leaked=self.drop_leaked,
            required=required,
        )
        manifest = require_splits(resolve_missing(manifest, self.on_missing, images, required), required)
        if self.subset:
            manifest = self._draw_subsets(manifest)
        needed = manifest.table["split"].isin(images)
        broken = find_broken([Path(path) for path in manifest.table["path"][needed]])
        if broken:
            raise ValueError(
                str(broken[0]) if len(broken) == 1 else f"Expected images but {describe(broken)}. Replace them."
            )
        self._manifest = manifest
        logger.info("%s", "; ".join(self._describe(split) for split in SPLITS))

    def _draw_subsets(self, manifest: Manifest) -> Manifest:
        kept = []
        for split, size in zip(SPLITS, self.subset_images, strict=True):
            rows = manifest.table[manifest.table["split"] == split]
            kept.append(draw_subset(rows, manifest.labels, size, self.seed).index)
        return manifest.with_table(manifest.table.loc[sorted(index for rows in kept for index in rows)])

    def _describe(self, split: str) -> str:
        rows = self.rows(split)
        return f"{split}: {len(rows):,} images of {rows['patient_id'].nunique():,} patients"

    @property
    def manifest(self) -> Manifest:
        """The checked table, after :meth:`setup`."""
        if self._manifest is None:
            raise RuntimeError("Expected `setup()` to have been called before the data is used.")
        return self._manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """Finding names in output order, after :meth:`setup`."""
        return self.manifest.labels

    def rows(self, split: str) -> pd.DataFrame:
        """The table's rows of ``train``, ``val`` or ``test``, in order."""
        return self.manifest.table[self.manifest.table["split"] == split].reset_index(drop=True)

    def dataset(self, split: str) -> ChestXRayDataset:
        """The images of ``train``, ``val`` or ``test``."""
        return self._dataset(self.rows(split))

    def _dataset(self, rows: pd.DataFrame) -> ChestXRayDataset:
        return ChestXRayDataset(rows, self.labels, self.image_size, self.interpolation)

    def targets(self, split: str) -> Tensor:
        """Ground truth of a split, ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
        return self.dataset(split).targets

    def sample_images(self, split: str, count: int) -> Iterator[Tensor]:
        """Images of a split, at most ``count``, drawn at random with ``seed``; each ``(1, S, S)`` uint8."""
        dataset = self.dataset(split)
        generator = torch.Generator().manual_seed(self.seed)
        for index in torch.randperm(len(dataset), generator=generator)[:count].tolist():
            yield dataset[index]["image"]

    def record(self) -> dict[str, Any]:
        """Settings and fingerprint as plain values, for the checkpoint and the run's summary."""
        options: dict[str, Any] = (
            asdict(self.source) if is_dataclass(self.source) and not isinstance(self.source, type) else {}
        )
        return {
            **fingerprint(self.manifest),
            "subset": self.subset,
            "settings": {
                "root": str(self.root.absolute()),
                "source": {"name": self.source.name, **options},
                "labels": list(self.labels),
                "split": self.split,
                "seed": self.seed,
                "val_fraction": self.val_fraction,
                "test_fraction": self.test_fraction,
                "drop_leaked": self.drop_leaked,
                "views": None if self.views is None else list(self.views),
                "on_missing": self.on_missing,
                "subset_images": list(self.subset_images),
                "image_size": self.image_size,
                "interpolation": self.interpolation,
                "batch_size": self.batch_size,
            },
        }

    def train_dataloader(self) -> DataLoader[Sample]:
        """Training batches, in a new random order every epoch."""
        dataset = self.dataset("train")
        return self._loader(dataset, EpochSampler(len(dataset), self.shuffle_seed))

    def val_dataloader(self) -> DataLoader[Sample]:
        """Validation batches, in the table's order."""
        return self.ordered_dataloader("val")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Test batches, in the table's order."""
        return self.ordered_dataloader("test")

    def ordered_dataloader(self, split: str) -> DataLoader[Sample]:
        """Batches of any split, in the table's order."""
        return self.rows_dataloader(self.rows(split))

    def rows_dataloader(self, rows: pd.DataFrame) -> DataLoader[Sample]:
        """Batches of any rows of the table, in their order."""
        return self._loader(self._dataset(rows))

    def _loader(self, dataset: ChestXRayDataset, sampler: Sampler[int] | None = None) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            batch_size=min(self.batch_size, len(dataset)),
            sampler=sampler,
            # Batch normalisation cannot learn from a last batch of one image.
            drop_last=sampler is not None and len(dataset) % self.batch_size == 1 and len(dataset) > 1,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Augment a training batch where it is, on the device."""
        trainer = self.trainer
        if self.augmentation is None or trainer is None or not trainer.training:
            return batch
        image = self.augmentation(batch["image"], batch["index"], seed=self.shuffle_seed, epoch=trainer.current_epoch)
        return cast(Sample, {**batch, "image": image})


def _default_workers() -> int:
    """One process less than the cores that this process may use, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(0, min(8, cores - 1))
