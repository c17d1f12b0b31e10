"""The LightningDataModule: settings in, loaders out."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cxr_lightning.data.augment import Augmentation
from cxr_lightning.data.cache import CacheSpec, Prepared, prepare
from cxr_lightning.data.dataloader import EpochSampler, ImageLoader, Share, image_loader
from cxr_lightning.data.dataset import ChestXRayDataset, ImageFiles, Images, Sample
from cxr_lightning.data.datasets.sources import Source
from cxr_lightning.data.manifest import SPLITS, Manifest, fingerprint, first_five, targets_of
from cxr_lightning.data.selection import Selection
from cxr_lightning.data.splits import MissingPolicy, SplitMethod
from cxr_lightning.imaging.reader import BadImagePolicy, Interpolation, refusal
from cxr_lightning.imaging.signatures import find_broken
from cxr_lightning.labels import check_labels
from cxr_lightning.utils.validation import check_choice

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
        on_bad_image: ``error`` or ``skip`` images that cannot be used; to skip them needs ``cache``.
        image_size: Side that images are resized to, in pixels.
        interpolation: How they are resized.
        cache: Decode and resize images once and keep them in ``cache_dir``, instead of whenever they are read.
        cache_dir: Where.
        batch_size: Images per batch.
        num_workers: Loader processes; by default none for prepared images, which are read faster than they are handed
            over, and else one less than the processor's cores, at most 8.
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
        on_bad_image: BadImagePolicy = "error",
        image_size: int = 224,
        interpolation: Interpolation = "bilinear",
        cache: bool = False,
        cache_dir: str | None = None,
        batch_size: int = 16,
        num_workers: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("image_size", image_size, 32),  # five halvings: less is nothing to most networks
            ("batch_size", batch_size, 1),
            ("shuffle_seed", shuffle_seed, 0),
            ("num_workers", num_workers or 0, 0),
        ):
            if value < least:
                raise ValueError(f"Expected `data.{name}` to be at least {least} but got {value}.")
        if cache and cache_dir is None:
            raise ValueError("Expected `data.cache_dir` beside `data.cache` but got none. Name a folder.")
        if on_bad_image == "skip" and not cache:  # which images are bad inside, only decoding all of them shows
            raise ValueError(
                "Expected prepared images with 'data.on_bad_image=skip' but they are off. Set 'data.cache=true' "
                "(evaluate.py: cache=true), or replace the bad images."
            )
        self.root = Path(root)
        self.source = source
        self.chosen_labels = None if labels is None else check_labels(labels)
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
        self.on_bad_image: BadImagePolicy = check_choice("data.on_bad_image", on_bad_image, BadImagePolicy)
        self.image_size = image_size
        self.interpolation: Interpolation = check_choice("interpolation", interpolation, Interpolation)
        self.cache_dir = Path(cache_dir) if cache and cache_dir is not None else None
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.augmentation = augmentation
        self._manifest: Manifest | None = None
        self._prepared: Prepared | None = None
        self._position: dict[str, int] = {}

    def prepare_data(self) -> None:
        """Make what the source makes on first use (the synthetic set); in one process."""
        self.source.prepare(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Read the tables, find the images, divide them, and prepare them or look at every file's first and last bytes.

        Raises:
            FileNotFoundError: If the folder, a table or an image is not there.
            ValueError: If a table is malformed, a patient is in two splits, a split is empty, an image is broken, or
                the disk is too small for prepared images.
        """
        self.load()

    def load(
        self,
        required: Sequence[str] = SPLITS,
        images: Sequence[str] = SPLITS,
        prepared: Sequence[str] | None = None,
    ) -> None:
        """Like :meth:`setup`, where not all is needed, as for evaluating; does nothing if the data is read already.

        Args:
            required: Splits that must not be empty.
            images: Splits whose images must be on disk. One that is not required may lack all of them; it is then
                left out.
            prepared: Those of them that are prepared, with ``cache``; all by default.
        """
        if self._manifest is not None:
            return
        manifest = self.selection.choose(self.source.read(self.root, self.chosen_labels), required, images)
        self._manifest = self._check_images(manifest, required, images, images if prepared is None else prepared)
        logger.info("%s", "; ".join(self._describe(split) for split in SPLITS))

    def _check_images(
        self, manifest: Manifest, required: Sequence[str], images: Sequence[str], prepared: Sequence[str]
    ) -> Manifest:
        """Prepare or look at the images, and leave out those that cannot be used, if that is allowed."""
        split, paths = manifest.table["split"], manifest.table["path"]
        kept = paths[split.isin({*images} & {*prepared})] if self.cache_dir is not None else paths[:0]
        seen = [Path(path) for path in paths[split.isin(images)].drop(kept.index)]
        rejected = {rejection.path: rejection for rejection in find_broken(seen)}
        if rejected and self.on_bad_image == "error":
            raise refusal(list(rejected.values()))
        if self.cache_dir is not None and len(kept):
            spec = self._spec
            self._prepared = prepare(spec.files(kept), spec, self.cache_dir, on_bad_image=self.on_bad_image)
            rejected |= {rejection.path: rejection for rejection in self._prepared.rejected.values()}
        left = manifest.without({path: rejection.reason for path, rejection in rejected.items()})
        if empty := [name for name in required if not (left.table["split"] == name).any()]:
            raise ValueError(f"Expected usable images in {empty} but none is, such as: {next(iter(rejected.values()))}")
        if rejected:
            names = first_five(list(left.rejected))
            logger.warning("%s images cannot be used: %s; going on without them", f"{len(rejected):,}", names)
        return left

    @property
    def _spec(self) -> CacheSpec:
        return CacheSpec(self.root, self.image_size, self.interpolation)

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
        return ChestXRayDataset(self._images(rows["path"]), targets_of(rows, self.labels))

    def _images(self, paths: pd.Series) -> Images:
        files = self._spec.files(paths)
        if self._prepared is not None and all(file in self._prepared.rows for file in files):
            return self._prepared.images(files)
        return ImageFiles(list(paths), self.image_size, self.interpolation)

    def targets(self, split: str) -> Tensor:
        """Ground truth of a split, ``(N, C)`` float32; 1, 0 or NaN (unknown)."""
        return torch.from_numpy(targets_of(self.rows(split), self.labels).copy())

    def sample_images(self, split: str, count: int) -> Iterator[Tensor]:
        """Images of a split, at most ``count``, drawn at random with ``seed``; each ``(1, S, S)`` uint8."""
        dataset = self.dataset(split)
        generator = torch.Generator().manual_seed(self.selection.seed)
        for index in torch.randperm(len(dataset), generator=generator)[:count].tolist():
            yield dataset[index]["image"]

    def record(self) -> dict[str, Any]:
        """Settings and fingerprint as plain values, for the checkpoint and the run's summary."""
        chosen = self.selection
        options: dict[str, Any] = (
            asdict(self.source) if is_dataclass(self.source) and not isinstance(self.source, type) else {}
        )
        return {
            **fingerprint(self.manifest),
            "subset": chosen.subset,
            "settings": {
                "root": str(self.root.absolute()),
                "source": {"name": self.source.name, **options},
                "labels": list(self.labels),
                "split": chosen.split,
                "seed": chosen.seed,
                "val_fraction": chosen.val_fraction,
                "test_fraction": chosen.test_fraction,
                "drop_leaked": chosen.drop_leaked,
                "views": None if chosen.views is None else list(chosen.views),
                "on_missing": chosen.on_missing,
                "subset_images": list(chosen.subset_images),
                "on_bad_image": self.on_bad_image,
                "image_size": self.image_size,
                "interpolation": self.interpolation,
                "batch_size": self.batch_size,
            },
        }

    def train_dataloader(self) -> DataLoader[Sample]:
        """This device's training batches, in a new random order every epoch."""
        dataset = self.dataset("train")
        sampler = EpochSampler(len(dataset), self.shuffle_seed, **self._device)
        loader = image_loader(dataset, sampler, self.batch_size, self.num_workers)
        if self._position:
            loader.load_state_dict(self._position)
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Where training is in its epoch."""
        loader = None if self.trainer is None else self.trainer.train_dataloader
        return loader.state_dict() if isinstance(loader, ImageLoader) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on there; Lightning tells the loader too, but not if a schedule has asked for its length before."""
        self._position = state_dict

    def val_dataloader(self) -> DataLoader[Sample]:
        """This device's validation batches, in the table's order."""
        return self.rows_dataloader(self.rows("val"), **self._device)

    def test_dataloader(self) -> DataLoader[Sample]:
        """This device's test batches, in the table's order."""
        return self.rows_dataloader(self.rows("test"), **self._device)

    def rows_dataloader(self, rows: pd.DataFrame, *, rank: int = 0, world_size: int = 1) -> DataLoader[Sample]:
        """Batches of any rows of the table, in their order; one device's share of them."""
        sampler = Share(len(rows), rank=rank, world_size=world_size)
        return image_loader(self._dataset(rows), sampler, self.batch_size, self.num_workers)

    @property
    def _device(self) -> dict[str, int]:
        """Which one this process feeds, of how many."""
        trainer = self.trainer
        return {} if trainer is None else {"rank": trainer.global_rank, "world_size": trainer.world_size}

    def on_before_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Draw how a training batch is augmented, while it is in the processor's memory."""
        trainer = self.trainer
        if self.augmentation is None or trainer is None or not trainer.training:
            return batch
        draws = self.augmentation.draw(batch["index"], seed=self.shuffle_seed, epoch=trainer.current_epoch)
        return cast(Sample, {**batch, "draws": draws})

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Augment a training batch where it is, on the device."""
        draws = batch.get("draws")
        if self.augmentation is None or draws is None:
            return batch
        return cast(Sample, {**batch, "image": self.augmentation(batch["image"], draws)})
