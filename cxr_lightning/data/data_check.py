"""The check of the data before a run: all that is wrong with them is found at once, and a remedy that works."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from cxr_lightning.data.data_errors import (
    DROP_LEAKED,
    SKIP_MISSING,
    SKIP_UNREADABLE,
    DataProblem,
    Remedy,
    data_error,
    describe_leak,
    describe_missing,
    empty_problem,
    leak_problem,
    missing_problem,
    unplaced_problem,
    unreadable_problem,
    untrained_problem,
)
from cxr_lightning.data.image_access import ImageAccess
from cxr_lightning.data.manifest import SPLITS, Manifest, preview
from cxr_lightning.data.selection import SelectedImages, Selection
from cxr_lightning.data.splits import empty_splits
from cxr_lightning.data.table_problems import TablesError, joined_error
from cxr_lightning.data.training_labels import log_training_labels, untrained_labels
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import RejectedImagesError

logger = logging.getLogger(__name__)

_DIVISIONS: tuple[Mapping[str, Any], ...] = (
    {},
    {"val_fraction": 0.1},
    {"val_fraction": 0.25},
    {"split": "patient"},
    {"split": "patient", "val_fraction": 0.1, "test_fraction": 0.2},
    {"split": "patient", "val_fraction": 0.25, "test_fraction": 0.25},
)
"""Other settings of the division that are tried where a split is empty."""


@dataclass(frozen=True)
class DataRequest:
    """What a caller needs of the data.

    Attributes:
        required: Splits that must not be empty.
        images: Splits whose images must be on disk. One that is not required may lack all of them; it is then excluded.
        prepared: Those of them that are prepared, if there is a cache.
        trains: Whether a model is trained, so that a finding must have positives and negatives among training images.
        cache_setting: Setting that switches the cache on, for messages.
        beside: Settings without which the caller takes none of the data's, for messages.
    """

    required: Sequence[str] = SPLITS
    images: Sequence[str] = SPLITS
    prepared: Sequence[str] = SPLITS
    trains: bool = False
    cache_setting: str = "data.cache=true"
    beside: Sequence[str] = ()


@dataclass(frozen=True)
class DataCheck:
    """The check of a table of images.

    Attributes:
        table: The whole table as the layout read it.
        selection: Settings that select and divide images, and what may be left out.
        access: Access to the images.
        request: What the caller needs.
        tables_error: What is wrong with the data set's tables; the table then holds stand-ins.
    """

    table: Manifest
    selection: Selection
    access: ImageAccess
    request: DataRequest
    tables_error: TablesError | None = None

    def usable_images(self) -> Manifest:
        """Select the images, and prepare them or look at their files' first and last bytes.

        Raises:
            PatientOverlapError: If patients are in two splits, and nothing else is wrong.
            FileNotFoundError: If images are not on disk, and nothing else is wrong.
            ValueError: If a table or images cannot be read, a split is empty, no finding can be trained, several things
                are wrong, or the disk is too small.
        """
        request = self.request
        selected = self._select(request.images)
        prepared = [
            split for split in request.images if self.access.cache_dir is not None and split in request.prepared
        ]
        others = [split for split in request.images if split not in prepared]
        usable, rejected = self._inspect(selected, others)
        if self.tables_error or self._problems(selected, usable, rejected):
            self._raise(selected, *self._inspect(selected, request.images))
        try:
            unusable = self.access.prepare(usable, prepared)
        except RejectedImagesError as error:
            self._raise(selected, _without(usable, error.rejections), error)
        if unusable:
            total = int(usable.table["split"].isin(prepared).sum())
            usable, rejected = _without(usable, unusable), RejectedImagesError(unusable, total)
        if self._problems(selected, usable, rejected):
            self._raise(selected, usable, rejected)
        self._log_excluded(selected, usable)
        if request.trains:
            log_training_labels(usable)
        return usable

    def _select(self, images: Sequence[str]) -> SelectedImages:
        """The selected images; settings that select none are told beside what is wrong with the tables."""
        if self.tables_error and self.selection.views is not None and "view_position" in self._unknown:
            raise self.tables_error
        try:
            return self.selection.apply(self.table, images, guess=True)
        except ValueError as error:
            if self.tables_error is None:
                raise
            raise joined_error([*self.tables_error.errors, error]) from error

    @property
    def _unknown(self) -> frozenset[str]:
        """Columns of the table that hold stand-ins."""
        return frozenset() if self.tables_error is None else self.tables_error.unknown

    def _inspect(self, selected: SelectedImages, splits: Sequence[str]) -> tuple[Manifest, RejectedImagesError | None]:
        """The images without those that cannot be read by their first and last bytes, and the error about these."""
        paths = selected.manifest.table["path"][selected.manifest.table["split"].isin(splits)]
        rejections = self.access.inspect(paths.tolist())
        if not rejections:
            return selected.manifest, None
        return _without(selected.manifest, rejections), RejectedImagesError(rejections, len(paths))

    def _problems(
        self, selected: SelectedImages, usable: Manifest, rejected: RejectedImagesError | None
    ) -> list[DataProblem]:
        """What is wrong that the settings do not allow, and what follows if all of that is left out."""
        problems = []
        if selected.unplaced and "split" not in self._unknown:
            problems.append(unplaced_problem(selected, self.table))
        if selected.leaked_patients and not self.selection.drop_leaked:
            problems.append(leak_problem(selected))
        if selected.missing and selected.missing == selected.looked_for:
            return [*problems, missing_problem(selected, skip=False)]
        if self.selection.on_missing == "error" and self._lacks_images(selected):
            problems.append(missing_problem(selected, skip=True))
        if rejected is not None and self.access.on_bad_image == "error":
            cache = "" if self.access.cache_dir is not None else self.request.cache_setting
            problems.append(unreadable_problem(rejected, cache_setting=cache))
        return [*problems, *self._consequences(selected, usable, rejected)]

    def _lacks_images(self, selected: SelectedImages) -> bool:
        """Whether images are missing, other than all those of a split that is not required."""
        return any(
            split in self.request.required or count < selected.looked_for[split]
            for split, count in selected.missing.items()
        )

    def _consequences(
        self, selected: SelectedImages, usable: Manifest, rejected: RejectedImagesError | None
    ) -> list[DataProblem]:
        """What is wrong with the images that remain."""
        if selected.unplaced or {"split", "rows"} & self._unknown:
            return []
        empty = empty_splits(usable.table, self.request.required)
        excluded = [describe_missing(selected)] if selected.missing else []
        excluded += [rejected.found] if rejected is not None else []
        notes = self.table.split_notes if self.selection.split == "official" else ()
        problems = [empty_problem(usable, self.request.required, empty, excluded, notes)] if empty else []
        if self.request.trains and "train" not in empty and "labels" not in self._unknown:
            lacking = untrained_labels(usable)
            problems += [untrained_problem(usable, lacking)] if len(lacking) == len(usable.labels) else []
        return problems

    def _raise(self, selected: SelectedImages, usable: Manifest, rejected: RejectedImagesError | None) -> NoReturn:
        problems = self._problems(selected, usable, rejected)
        errors = () if self.tables_error is None else self.tables_error.errors
        raise data_error(problems, self._remedy(problems), errors) from rejected

    def _remedy(self, problems: Sequence[DataProblem]) -> Remedy | None:
        """The first remedy after which nothing is wrong: settings, or settings once files are there and readable."""
        skips = [setting for problem in problems for setting in problem.skip]
        divisions = _DIVISIONS if set(SPLITS) <= set(self.request.required) else _DIVISIONS[:1]
        for repairs in (False, True):
            for division in divisions:
                leaks = division.get("split", self.selection.split) == "official"
                kept = [one for one in skips if (leaks if one == DROP_LEAKED else not repairs)]
                if self._works(division, kept, repairs=repairs):
                    settings = [*(f"data.{name}={value}" for name, value in division.items()), *kept]
                    return Remedy((*self.request.beside, *settings) if settings else (), repairs)
        return None

    def _works(self, division: Mapping[str, Any], skips: Sequence[str], *, repairs: bool) -> bool:
        """Whether nothing is wrong with other settings of the division, if some images may be left out.

        Args:
            division: Settings of the selection.
            skips: Settings that leave images out.
            repairs: Whether all files are there and readable.
        """
        allowed: dict[str, Any] = {"drop_leaked": True} if DROP_LEAKED in skips else {}
        allowed |= {"on_missing": "skip"} if SKIP_MISSING in skips else {}
        request = replace(self.request, images=()) if repairs else self.request
        check = replace(self, selection=replace(self.selection, **division, **allowed), request=request)
        try:
            selected = check.selection.apply(self.table, request.images, guess=True)
        except ValueError:  # such as fractions that leave nothing for training
            return False
        usable, rejected = check._inspect(selected, request.images)
        return not check._problems(selected, usable, None if SKIP_UNREADABLE in skips else rejected)

    def _log_excluded(self, selected: SelectedImages, usable: Manifest) -> None:
        for remark in self.table.remarks:
            logger.warning("%s", remark)
        if self.table.split_notes and self.selection.split == "official":
            logger.warning("in the files of the official split, %s", "; ".join(self.table.split_notes))
        if leaked := selected.manifest.leaked:
            dropped = f"dropped {len(leaked)} images from the earlier split (data.drop_leaked)"
            logger.warning("%s; %s", describe_leak(selected), dropped)
        if selected.missing:
            logger.warning("%s; going on without them", describe_missing(selected))
        if rejected := list(usable.rejected):
            logger.warning(
                "%s images cannot be used: %s; going on without them", f"{len(rejected):,}", preview(rejected)
            )


def _without(manifest: Manifest, rejections: Sequence[ImageRejectedError]) -> Manifest:
    return manifest.exclude({rejection.path: rejection.reason for rejection in rejections})
