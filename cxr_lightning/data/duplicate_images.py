"""The same picture in two splits, under two names: what is learned from one is no test of the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from cxr_lightning.data.manifest import SPLITS
from cxr_lightning.utils.plain_text import shorten

_MAX_NAMED = 5


class DuplicateImage(NamedTuple):
    """An image, and one of a later split with the same pixels (train before val before test)."""

    path: str
    """Path of the image in the earlier split."""
    name: str
    split: str
    later_name: str
    later_split: str

    def __str__(self) -> str:
        return f"{shorten(self.name)} ({self.split}) = {shorten(self.later_name)} ({self.later_split})"

    @property
    def reason(self) -> str:
        """Why the image is left out, as a clause."""
        return f"the same pixels as '{self.later_name}' ({self.later_split})"


def find_duplicates(
    table: pd.DataFrame, equal_images: Iterable[Sequence[str]], splits: Sequence[str]
) -> list[DuplicateImage]:
    """Pair every image that has a duplicate in a later split with one of the last split that has any.

    Args:
        table: Columns ``image_id``, ``path`` and ``split``.
        equal_images: Groups of paths of images with equal pixels.
        splits: Splits that are looked at.
    """
    duplicates = []
    for group in _groups_by_split(table, equal_images):
        found = [split for split in SPLITS if split in group and split in splits]
        for split in found[:-1]:
            later = group[found[-1]][0][1]
            duplicates += [DuplicateImage(path, name, split, later, found[-1]) for path, name in group[split]]
    return duplicates


def duplicates_within_splits(table: pd.DataFrame, equal_images: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Groups of names of images with equal pixels in the same split.

    Args:
        table: Columns ``image_id``, ``path`` and ``split``.
        equal_images: Groups of paths of images with equal pixels.
    """
    groups = _groups_by_split(table, equal_images)
    return [tuple(name for _, name in images) for group in groups for images in group.values() if len(images) > 1]


def describe_duplicates(duplicates: Sequence[DuplicateImage]) -> str:
    """The number of pairs, and the first five, as a clause."""
    one = len(duplicates) == 1
    count = "1 pair of images in two splits has" if one else f"{len(duplicates):,} pairs of images in two splits have"
    shown = ", ".join(map(str, duplicates[:_MAX_NAMED]))
    return f"{count} the same pixels: {shown}{', ...' if len(duplicates) > _MAX_NAMED else ''}"


def _groups_by_split(
    table: pd.DataFrame, equal_images: Iterable[Sequence[str]]
) -> Iterator[Mapping[str, list[tuple[str, str]]]]:
    """Path and name of the images of each group, by split; in the table's order."""
    group_of = {path: number for number, group in enumerate(equal_images) for path in group}
    if not group_of:
        return iter(())
    groups: dict[int, dict[str, list[tuple[str, str]]]] = {}
    rows = table[table["path"].isin(group_of)]
    for path, name, split in zip(rows["path"], rows["image_id"], rows["split"], strict=True):
        groups.setdefault(group_of[path], {}).setdefault(split, []).append((path, name))
    return iter(groups.values())
