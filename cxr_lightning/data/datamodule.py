"""The LightningDataModule: reads, selects and checks the data, and builds the loaders."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cxr_lightning.data.augment import Augmentation
from cxr_lightning.data.cache import CacheSpec
from cxr_lightning.data.data_check import DataCheck, DataRequest
from cxr_lightning.data.dataloader import DistributedShardSampler, EpochSampler, ImageLoader, build_image_loader
from cxr_lightning.data.dataset import ChestXRayDataset, Sample
from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.data.image_access import ImageAccess
from cxr_lightning.data.label_policy import LabelPolicy
from cxr_lightning.data.manifest import Manifest, describe_splits, target_array
from cxr_lightning.data.record import apply_recorded_selection, data_record
from cxr_lightning.data.selection import Selection
from cxr_lightning.data.setting_rules import check_numbers
from cxr_lightning.data.splits import MissingPolicy, SplitMethod
from cxr_lightning.imaging.reader import BadImagePolicy, FlagPolicy, Interpolation
from cxr_lightning.labels import UncertainMeaning, check_labels
from cxr_lightning.utils.checked_loading import CheckedLoading

logger = logging.getLogger(__name__)

_EVERYTHING = DataRequest()


class ChestXRayDataModule(CheckedLoading, pl.LightningDataModule):  # type: ignore[misc]  # Lightning's is no plain classmethod
    """Chest radiographs with multi-label targets, in three splits without a common patient.

    Args:
        root: The data set's folder.
        source: The layout of its files.
        labels: Findings, in output order; the layout's default labels if None.
        label_map: Findings by label columns of other names; those that the files do not have are n/a, not an error.
        uncertain: What -1 is taken for: ``ignore`` (unknown), ``zeros``, ``ones``, or one by finding; an error if None.
        split: ``official`` (as the files state), ``patient`` (at random by patient) or ``all`` (one test set, for
            evaluating on data that no model was trained on).
        seed: Draws the splits and subsets.
        shuffle_seed: Draws the order of the training images and their augmentation.
        val_fraction: Fraction of the images for validation, where the files leave it open.
        test_fraction: Fraction of the images for testing, with ``split=patient``.
        drop_leaked: Drop patients and images that are in a later split too, instead of stopping.
        views: View positions to keep, such as ``[PA]``; all by default.
        on_missing: ``error`` or ``skip`` images that are listed but not on disk.
        subset: Use about ``subset_images`` images per split.
        subset_images: Requested images per split of a subset, for ``train``, ``val`` and ``test``.
        on_bad_image: ``error`` or ``skip`` images that cannot be used; to skip them needs ``cache``.
        on_flag: ``keep``, ``skip`` or ``error`` images with quality flags; the last two need ``cache``.
        force: Decode DICOM files although their headers state that they are no chest radiographs.
        image_size: Side that images are resized to, in pixels.
        interpolation: How they are resized.
        cache: Decode and resize images once and keep them in ``cache_dir``, instead of whenever they are read.
        cache_dir: Folder of the caches; required with ``cache``.
        batch_size: Images per batch.
        num_workers: Loader processes; by default none for prepared images, which are read faster than they are sent
            between processes, else one less than the processor's cores, at most 8.
        augmentation: Training transforms; none by default.
    """

    def __init__(
        self,
        root: str,
        source: DatasetLayout,
        *,
        labels: Sequence[str] | None = None,
        label_map: Mapping[str, str] | None = None,
        uncertain: UncertainMeaning | Mapping[str, UncertainMeaning] | None = None,
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
        on_bad_image: BadImagePolicy = "error",
        on_flag: FlagPolicy = "keep",
        force: bool = False,
        image_size: int = 224,
        interpolation: Interpolation = "bilinear",
        cache: bool = False,
        cache_dir: str | None = None,
        batch_size: int = 16,
        num_workers: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        check_numbers(
            image_size=image_size, batch_size=batch_size, shuffle_seed=shuffle_seed, num_workers=num_workers or 0
        )
        self.root = Path(root)
        self.source = source
        self.chosen_labels = None if labels is None else check_labels(labels)
        self.label_policy = LabelPolicy(label_map, uncertain)
        self.selection = Selection(
            split=split,
            seed=seed,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            drop_leaked=drop_leaked,
            views=None if views is None else tuple(views),
            on_missing=on_missing,
            subset=subset,
            subset_images=tuple(subset_images),
        )
        self.shuffle_seed = shuffle_seed
        spec = CacheSpec(self.root, image_size, interpolation, force)
        self.images = ImageAccess(spec, cache=cache, cache_dir=cache_dir, on_bad_image=on_bad_image, on_flag=on_flag)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.augmentation = augmentation
        self._label_table: Manifest | None = None
        self._manifest: Manifest | None = None
        self._loader_state: dict[str, int] = {}

    def prepare_data(self) -> None:
        """Make what the layout makes on first use (the synthetic set); Lightning calls this in one process."""
        self.source.prepare(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Read the tables, find the images, divide them, and prepare them or look at every file's first and last bytes.

        Args:
            stage: ``fit`` or None for a training, which needs a finding with positives and negatives.

        Raises:
            FileNotFoundError: If the folder, a table or an image is not there.
            ValueError: If a table is malformed, a patient or image is in two splits, a split is empty, an image is
                unreadable, no finding can be trained, several things are wrong, or the disk is too small.
        """
        self.load(DataRequest(trains=stage in (None, "fit")))

    def load(self, request: DataRequest = _EVERYTHING) -> None:
        """Do the work of :meth:`setup` for some splits only, as for evaluating; nothing if the data is loaded already.

        Args:
            request: What is needed of the data; by default all splits, with their images.
        """
        if self._manifest is not None:
            return
        self._label_table, error = self.label_policy.read(self.source, self.root, self.chosen_labels)
        self._manifest = DataCheck(self._label_table, self.selection, self.images, request, error).usable_images()
        logger.info("%s", describe_splits(self._manifest))

    @property
    def manifest(self) -> Manifest:
        """The selected and checked table, after :meth:`setup`."""
        return _loaded(self._manifest)

    @property
    def label_table(self) -> Manifest:
        """The whole table as the layout read it, before any selection; after :meth:`setup`."""
        return _loaded(self._label_table)

    def resplit(self, record: Mapping[str, Any]) -> Manifest:
        """Select and divide the data as an earlier run with the same files did; images are not looked at.

        Args:
            record: The earlier run's :meth:`record`.
        """
        labels = record["settings"]["labels"]
        table = self.label_table
        if not {*labels} <= {*table.labels}:
            table = self.label_policy.read_whole(self.source, self.root, labels)
        return apply_recorded_selection(table, record)

    @property
    def labels(self) -> tuple[str, ...]:
        """Finding names in output order, after :meth:`setup`."""
        return self.manifest.labels

    def rows(self, split: str) -> pd.DataFrame:
        """Rows of the table in ``train``, ``val`` or ``test``, in order."""
        return self.manifest.table[self.manifest.table["split"] == split].reset_index(drop=True)

    def dataset(self, split: str) -> ChestXRayDataset:
        """Images and targets of ``train``, ``val`` or ``test``."""
        return self._dataset(self.rows(split))

    def _dataset(self, rows: pd.DataFrame) -> ChestXRayDataset:
        return ChestXRayDataset(self.images.open(rows["path"]), target_array(rows, self.labels))

    def targets(self, split: str) -> Tensor:
        """Ground truth of a split, ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
        return torch.from_numpy(target_array(self.rows(split), self.labels).copy())

    def record(self) -> dict[str, Any]:
        """Settings and fingerprint as plain values, for the checkpoint and the run's summary."""
        return data_record(
            self.manifest, self.root, self.source, self.label_policy, self.selection, self.images, self.batch_size
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        """This device's training batches, in a new random order every epoch."""
        dataset = self.dataset("train")
        sampler = EpochSampler(len(dataset), self.shuffle_seed, **self._device)
        loader = build_image_loader(dataset, sampler, self.batch_size, self.num_workers)
        if self._loader_state:
            loader.load_state_dict(self._loader_state)
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Position of the training loader within its epoch."""
        loader = None if self.trainer is None else self.trainer.train_dataloader
        return loader.state_dict() if isinstance(loader, ImageLoader) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a position for the next training loader."""
        # Lightning restores the loader too, but not if a schedule has requested its length before.
        self._loader_state = state_dict

    def val_dataloader(self) -> DataLoader[Sample]:
        """This device's validation batches, in the table's order."""
        return self.rows_dataloader(self.rows("val"), **self._device)

    def test_dataloader(self) -> DataLoader[Sample]:
        """This device's test batches, in the table's order."""
        return self.rows_dataloader(self.rows("test"), **self._device)

    def rows_dataloader(self, rows: pd.DataFrame, *, rank: int = 0, world_size: int = 1) -> DataLoader[Sample]:
        """Batches of any rows of the table, in their order; only one device's part of them."""
        sampler = DistributedShardSampler(len(rows), rank=rank, world_size=world_size)
        return build_image_loader(self._dataset(rows), sampler, self.batch_size, self.num_workers)

    @property
    def _device(self) -> dict[str, int]:
        trainer = self.trainer
        return {} if trainer is None else {"rank": trainer.global_rank, "world_size": trainer.world_size}

    def on_before_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Draw the random numbers of a training batch's augmentation while the batch is on the CPU."""
        trainer = self.trainer
        if self.augmentation is None or trainer is None or not trainer.training:
            return batch
        draws = self.augmentation.draw(batch["index"], seed=self.shuffle_seed, epoch=trainer.current_epoch)
        return cast(Sample, {**batch, "draws": draws})

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Augment a training batch on the device."""
        draws = batch.get("draws")
        if self.augmentation is None or draws is None:
            return batch
        return cast(Sample, {**batch, "image": self.augmentation(batch["image"], draws)})


def _loaded(manifest: Manifest | None) -> Manifest:
    if manifest is None:
        raise RuntimeError("Expected `setup()` to have been called before the data is used.")
    return manifest
