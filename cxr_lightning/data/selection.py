"""Which images of a data set a run uses, and for what."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_lightning.data.manifest import SPLITS, Manifest
from cxr_lightning.data.splits import (
    MissingPolicy,
    SplitMethod,
    assign_splits,
    draw_subset,
    keep_views,
    require_splits,
    resolve_missing,
)
from cxr_lightning.utils.validation import check_choice


@dataclass(frozen=True)
class Selection:
    """How images are chosen and divided; the arguments are those of the data module, which explains them."""

    split: SplitMethod = "official"
    seed: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    drop_leaked: bool = False
    views: tuple[str, ...] | None = None
    on_missing: MissingPolicy = "error"
    subset: bool = False
    subset_images: tuple[int, ...] = (1000, 200, 400)

    def __post_init__(self) -> None:
        check_choice("data.split", self.split, SplitMethod)
        check_choice("data.on_missing", self.on_missing, MissingPolicy)
        if self.seed < 0:
            raise ValueError(f"Expected `data.seed` to be at least 0 but got {self.seed}.")
        if len(self.subset_images) != len(SPLITS) or min(self.subset_images) < 1:
            raise ValueError(
                f"Expected `data.subset_images` to be three positive numbers but got {list(self.subset_images)}."
            )

    def choose(self, manifest: Manifest, required: Sequence[str], images: Sequence[str]) -> Manifest:
        """The rows that are used, each in its split.

        Args:
            manifest: All of the data set.
            required: Splits that must not be empty.
            images: Splits whose images must be on disk.

        Raises:
            ValueError: If a patient is in two splits, or a split is empty.
            FileNotFoundError: If an image is not on disk.
        """
        # First the splits: they are the same whatever part of the images is on disk.
        divided = assign_splits(
            keep_views(manifest, self.views),
            self.split,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            drop_leaked=self.drop_leaked,
            required=required,
        )
        there = require_splits(resolve_missing(divided, self.on_missing, images, required), required)
        return self._draw_subsets(there) if self.subset else there

    def _draw_subsets(self, manifest: Manifest) -> Manifest:
        kept = []
        for split, size in zip(SPLITS, self.subset_images, strict=True):
            rows = manifest.table[manifest.table["split"] == split]
            kept.append(draw_subset(rows, manifest.labels, size, self.seed).index)
        return manifest.with_table(manifest.table.loc[sorted(index for rows in kept for index in rows)])
