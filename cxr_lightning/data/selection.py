"""Selection of the images that a run uses, and their division into splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from cxr_lightning.data.manifest import SPLITS, Manifest
from cxr_lightning.data.splits import (
    MissingPolicy,
    SplitMethod,
    assign_splits,
    draw_subset,
    find_leaked,
    find_missing,
    find_unplaced,
    keep_views,
)
from cxr_lightning.utils.validation import check_choice


@dataclass(frozen=True)
class SelectedImages:
    """The rows that remain if those that cannot be used are left out, and what these are.

    Attributes:
        manifest: The remaining rows; ``leaked`` and ``skipped`` name the images that are left out.
        leaked_patients: Patients that are in a later split too.
        looked_for: Number of images that were looked for on disk, by split.
        missing: Number of them that are not there, by split.
        unplaced: Names of the images whose split was guessed.
    """

    manifest: Manifest
    leaked_patients: tuple[str, ...] = ()
    looked_for: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    unplaced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Settings that select and divide images; the arguments are those of the data module, which explains them."""

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
        for name in ("val_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"Expected `data.{name}` to be in [0, 1) but got {getattr(self, name)}.")
        if len(self.subset_images) != len(SPLITS) or min(self.subset_images) < 1:
            raise ValueError(
                f"Expected `data.subset_images` to be three positive numbers but got {list(self.subset_images)}."
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build a selection from plain values by name; lists become tuples, other settings are ignored."""
        known = {field.name: settings[field.name] for field in fields(cls) if field.name in settings}
        values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return cls(**values)

    def to_settings(self) -> dict[str, Any]:
        """The settings as plain values by name; tuples become lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def apply(self, manifest: Manifest, images: Sequence[str] = (), *, guess: bool = False) -> SelectedImages:
        """Select rows and assign each its split, leaving out leaked patients and missing images, whatever is allowed.

        Args:
            manifest: The whole table as the layout reads it.
            images: Splits whose images are looked for on disk.
            guess: Guess the split of an image that the files put into none, instead of an error.

        Raises:
            ValueError: If no image has one of the views, the files do not give the split, or fractions are wrong.
        """
        # Splits first: they are the same whatever part of the images is on disk.
        viewed = keep_views(manifest, self.views)
        unplaced = viewed.table["image_id"][find_unplaced(viewed.table)] if self.split == "official" else ()
        divided = assign_splits(
            viewed,
            self.split,
            seed=self.seed,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            guess=guess,
        )
        leaked = find_leaked(divided.table)
        patients = sorted(divided.table["patient_id"][leaked].unique(), key=lambda name: (len(str(name)), str(name)))
        kept = divided.with_table(divided.table[~leaked])
        missing = find_missing(kept.table, images)
        names, split = kept.table["image_id"], kept.table["split"]
        available = replace(
            kept.with_table(kept.table[~missing]),
            leaked=tuple(divided.table["image_id"][leaked]),
            skipped=tuple(names[missing]),
        )
        return SelectedImages(
            self._draw_subsets(available) if self.subset else available,
            tuple(patients),
            dict(Counter(split[split.isin(images)])),
            dict(Counter(split[missing])),
            tuple(unplaced),
        )

    def _draw_subsets(self, manifest: Manifest) -> Manifest:
        kept = []
        for split, size in zip(SPLITS, self.subset_images, strict=True):
            rows = manifest.table[manifest.table["split"] == split]
            kept.append(draw_subset(rows, manifest.labels, size, self.seed).index)
        return manifest.with_table(manifest.table.loc[sorted(index for rows in kept for index in rows)])
