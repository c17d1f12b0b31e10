"""The check of the data before a run: all that is wrong with them is found at once, and a remedy that works."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from cxr_lightning.data.data_errors import (
    DROP_LEAKED,
    SKIP_FLAGGED,
    SKIP_MISSING,
    SKIP_UNREADABLE,
    DataProblem,
    Remedy,
    data_error,
    empty_problem,
    leak_problem,
    unplaced_problem,
    untrained_problem,
)
from cxr_lightning.data.duplicate_images import describe_duplicates
from cxr_lightning.data.exclusion_log import log_exclusions
from cxr_lightning.data.image_access import ImageAccess
from cxr_lightning.data.image_check import ImageCheck, check_images
from cxr_lightning.data.image_problems import (
    describe_missing,
    duplicate_problem,
    flagged_problem,
    missing_problem,
    unreadable_problem,
)
from cxr_lightning.data.manifest import SPLITS, Manifest
from cxr_lightning.data.selection import SelectedImages, Selection
from cxr_lightning.data.splits import empty_splits, stated_splits
from cxr_lightning.data.table_problems import TablesError, joined_error
from cxr_lightning.data.training_labels import log_training_labels, untrained_labels
from cxr_lightning.labels import describe_uncertain

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
            PatientOverlapError: If patients or images are in two splits, and nothing else is wrong.
            FileNotFoundError: If images are not on disk, and nothing else is wrong.
            ValueError: If a table or images cannot be read, images have quality flags with ``data.on_flag=error``, a
                split is empty, no finding can be trained, several things are wrong, or the disk is too small.
        """
        request = self.request
        selected = self._select(request.images)
        prepared = [
            split for split in request.images if self.access.cache_dir is not None and split in request.prepared
        ]
        found = self._inspect(selected, [split for split in request.images if split not in prepared])
        if self.tables_error or self._problems(selected, found):
            self.access.read_cached(found.usable, prepared)
            self._raise(selected, self._inspect(selected, request.images))
        self.access.prepare(found.usable, prepared)
        found = self._inspect(selected, request.images)
        if self._problems(selected, found):
            self._raise(selected, found)
        for remark in self.table.remarks:
            logger.warning("%s", remark)
        if self.selection.split == "patient" and stated_splits(self.table.table["split"]).notna().any():
            logger.warning("the files state splits, which data.split=patient does not use; data.split=official does")
        if self.table.uncertain:
            logger.warning("uncertain labels (-1) in the label files: %s", describe_uncertain(self.table.uncertain))
        if self.table.split_notes and self.selection.split == "official":
            logger.warning("in the files of the official split, %s", "; ".join(self.table.split_notes))
        log_exclusions(selected, found, self.access)
        if request.trains:
            log_training_labels(found.usable)
        return found.usable

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

    def _inspect(self, selected: SelectedImages, splits: Sequence[str]) -> ImageCheck:
        return check_images(selected.manifest, splits, self.access)

    def _problems(self, selected: SelectedImages, found: ImageCheck) -> list[DataProblem]:
        """What is wrong that the settings do not allow, and what follows if all of that is left out."""
        problems = []
        if selected.unplaced and "split" not in self._unknown:
            problems.append(unplaced_problem(selected, self.table))
        if selected.leaked_patients and not self.selection.drop_leaked:
            problems.append(leak_problem(selected))
        if found.duplicates and not self.selection.drop_leaked and "split" not in self._unknown:
            problems.append(duplicate_problem(found.duplicates))
        if selected.missing and selected.missing == selected.looked_for:
            return [*problems, missing_problem(selected, skip=False)]
        if self.selection.on_missing == "error" and self._lacks_images(selected):
            problems.append(missing_problem(selected, skip=True))
        if found.rejected is not None and self.access.on_bad_image == "error":
            cache = "" if self.access.cache_dir is not None else self.request.cache_setting
            problems.append(unreadable_problem(found.rejected, cache_setting=cache))
        if found.flagged is not None and self.access.on_flag == "error":
            problems.append(flagged_problem(found.flagged))
        return [*problems, *self._consequences(selected, found)]

    def _lacks_images(self, selected: SelectedImages) -> bool:
        """Whether images are missing, other than all those of a split that is not required."""
        return any(
            split in self.request.required or count < selected.looked_for[split]
            for split, count in selected.missing.items()
        )

    def _consequences(self, selected: SelectedImages, found: ImageCheck) -> list[DataProblem]:
        """What is wrong with the images that remain."""
        if selected.unplaced or {"split", "rows"} & self._unknown:
            return []
        usable = found.usable
        empty = empty_splits(usable.table, self.request.required)
        excluded = [describe_missing(selected)] if selected.missing else []
        excluded += [found.rejected.found] if found.rejected is not None else []
        excluded += [found.flagged.found] if found.flagged is not None and self.access.on_flag != "keep" else []
        excluded += [describe_duplicates(found.duplicates)] if found.duplicates else []
        notes = self.table.split_notes if self.selection.split == "official" else ()
        problems = [empty_problem(usable, self.request.required, empty, excluded, notes)] if empty else []
        if self.request.trains and "train" not in empty and "labels" not in self._unknown:
            lacking = untrained_labels(usable)
            problems += [untrained_problem(usable, lacking)] if len(lacking) == len(usable.labels) else []
        return problems

    def _raise(self, selected: SelectedImages, found: ImageCheck) -> NoReturn:
        problems = self._problems(selected, found)
        errors = () if self.tables_error is None else self.tables_error.errors
        raise data_error(problems, self._remedy(problems, selected, found), errors) from found.rejected

    def _remedy(self, problems: Sequence[DataProblem], selected: SelectedImages, found: ImageCheck) -> Remedy | None:
        """The first remedy after which nothing is wrong: settings, or settings once files are there and readable."""
        skips = list(dict.fromkeys(setting for problem in problems for setting in problem.skip))
        divisions = _DIVISIONS if set(SPLITS) <= set(self.request.required) else _DIVISIONS[:1]
        for repairs in (False, True):
            for division in divisions:
                leaks = bool(selected.leaked_patients) and division.get("split", self.selection.split) == "official"
                drops = leaks or (bool(found.duplicates) and not repairs)
                kept = [one for one in skips if (drops if one == DROP_LEAKED else not repairs)]
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
        found = check._inspect(selected, request.images)
        rejected = None if SKIP_UNREADABLE in skips else found.rejected
        flagged = None if SKIP_FLAGGED in skips else found.flagged
        return not check._problems(selected, replace(found, rejected=rejected, flagged=flagged))
