"""Other layouts: the walk-through's one-hot CSVs, any CSV with label columns, and the synthetic set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from cxr_lightning.data.csv_reader import (
    check_image_names,
    index_images,
    parse_age,
    parse_truth,
    read_header,
    read_table,
)
from cxr_lightning.data.datasets.nih import NIHSource, check_root
from cxr_lightning.data.manifest import COLUMNS, Manifest, check_table, file_sha256, first_five, is_synthetic
from cxr_lightning.labels import WALKTHROUGH_LABELS, check_labels
from cxr_lightning.phantom import PhantomSpec, build_phantom


class Source(Protocol):
    """A layout of label files and images."""

    name: ClassVar[str]

    def prepare(self, root: Path) -> None:
        """Make what must be made before reading; called in one process."""

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """The table of the data set in ``root``, with ``path`` missing where an image is not on disk."""


@dataclass(frozen=True)
class WalkthroughSource:
    """The Keras walk-through's teaching files: one one-hot CSV per split, columns in any order.

    Args:
        train_file: Name of the training CSV.
        val_file: Name of the validation CSV.
        test_file: Name of the test CSV.
    """

    train_file: str = "train-small.csv"
    val_file: str = "valid-small.csv"
    test_file: str = "test.csv"
    name: ClassVar[str] = "walkthrough"

    def prepare(self, root: Path) -> None:
        """Nothing to make."""

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """See :class:`Source`; the default labels are the walk-through's, in its order."""
        check_root(root)
        chosen = check_labels(WALKTHROUGH_LABELS if labels is None else labels)
        files = {"train": self.train_file, "val": self.val_file, "test": self.test_file}
        parts = []
        for split, name in files.items():
            part = _read_columns(root / name, chosen, image="Image", patient="PatientId")
            check_table(part, root / name)
            check_image_names(part["image_id"], root / name)
            parts.append(part.assign(split=split))
        table = pd.concat(parts)
        _check_repeats(table, chosen, root)
        images = index_images(root)
        table["path"] = [str(images[name]) if name in images else None for name in table["image_id"]]
        return Manifest(
            table=table.reset_index(drop=True)[[*COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(root, table["path"]),
            files={name: file_sha256(root / name) for name in files.values()},
        )


@dataclass(frozen=True)
class CsvSource:
    """Any CSV with one row per image: an image column, a patient column, and a 0 / 1 / empty column per label.

    Args:
        file: The CSV, relative to the data folder.
        image_column: Column with the image's path, relative to the data folder.
        patient_column: Column that tells which images are of one patient.
        split_column: Column with ``train``, ``val`` and ``test``, if there is one.
        view_column: Column with the view position (PA, AP, ...), if there is one.
        sex_column: Column with the sex, if there is one.
        age_column: Column with the age in years, if there is one.
        follow_links: Whether links below the data folder may lead out of it.
    """

    file: str = "labels.csv"
    image_column: str = "image"
    patient_column: str = "patient_id"
    split_column: str | None = None
    view_column: str | None = None
    sex_column: str | None = None
    age_column: str | None = None
    follow_links: bool = False
    name: ClassVar[str] = "csv"

    def prepare(self, root: Path) -> None:
        """Nothing to make."""

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        """See :class:`Source`.

        Raises:
            ValueError: Also if no labels are named: which columns are labels cannot be told from the file.
        """
        path = check_root(root) / self.file
        if labels is None:
            raise ValueError(
                f"Expected `data.labels` to name the label columns of '{path}' but it is null; "
                f"the columns are {read_header(path)[:30]}. Set, for example, 'data.labels=[Effusion,Edema]'."
            )
        chosen = check_labels(labels)
        extra = {
            "split": self.split_column,
            "view_position": self.view_column,
            "sex": self.sex_column,
            "age": self.age_column,
        }
        table = _read_columns(path, chosen, image=self.image_column, patient=self.patient_column, extra=extra)
        check_table(table, path)
        table["path"] = self.image_paths(root, table["image_id"])
        return Manifest(
            table=table.reset_index(drop=True)[[*COLUMNS, *chosen]],
            labels=chosen,
            source=self.name,
            synthetic=is_synthetic(root, table["path"]),
            files={path.name: file_sha256(path)},
        )

    def image_paths(self, root: Path, names: pd.Series) -> pd.Series:
        """Paths of the images that a table names, missing where one is not on disk.

        Raises:
            ValueError: If one leads out of the data folder.
        """
        path = root / self.file
        check_image_names(names, path, relative=True)
        inside = root.resolve()
        for line, name in zip(names.index.tolist(), names, strict=True):
            if not (self.follow_links or (root / name).resolve().is_relative_to(inside)):
                raise ValueError(
                    f"Expected images below '{root}' but '{name}' on line {line + 2} of '{path}' is a link to "
                    "elsewhere. Set 'data.source.follow_links=true' if that is meant."
                )
        return names.map(lambda name: str(root / name) if (root / name).is_file() else None)


@dataclass(frozen=True)
class PhantomSource(NIHSource):
    """The synthetic set, made on first use in a folder of its own below the data folder.

    Args:
        seed: Draws patients, findings and pictures.
        train_images: Number of training images.
        val_images: Number of validation images.
        test_images: Number of test images.
        image_size: Side of the image files in pixels.
    """

    seed: int = 0
    train_images: int = 1000
    val_images: int = 200
    test_images: int = 400
    image_size: int = 256
    name: ClassVar[str] = "phantom"

    def __post_init__(self) -> None:
        _ = self.spec  # refuses sizes that cannot be made before anything is written

    @property
    def spec(self) -> PhantomSpec:
        """What the generator is asked for."""
        return PhantomSpec(self.seed, self.train_images, self.val_images, self.test_images, self.image_size)

    def prepare(self, root: Path) -> None:
        """Make the set, or what is missing of it."""
        build_phantom(root, self.spec)

    def folder(self, root: Path) -> Path:
        """The folder of this very set."""
        return root / self.spec.name


SOURCES: dict[str, type[Source]] = {
    source.name: source for source in (NIHSource, WalkthroughSource, CsvSource, PhantomSource)
}
"""Every layout by name."""


def build_source(name: str, **options: Any) -> Source:  # noqa: ANN401  # each layout's own
    """A layout from what a checkpoint's record says of it.

    Args:
        name: One of ``SOURCES``.
        options: Its constructor's arguments.

    Raises:
        ValueError: If the name or an option is unknown, as in a record of a later version.
    """
    try:
        return SOURCES[name](**options)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"Expected a data source among {list(SOURCES)} with its options but got {name!r} with {options}. "
            "Choose the data yourself: data=nih, walkthrough, csv or phantom."
        ) from error


def listed_images(source: Source, root: Path) -> pd.Series:
    """Paths of all images that a data set lists, missing where one is not on disk; needs no labels."""
    if not isinstance(source, CsvSource):
        return source.read(root).table["path"]
    path = check_root(root) / source.file
    return source.image_paths(root, read_table(path, [source.image_column])[source.image_column])


def _check_repeats(table: pd.DataFrame, labels: Sequence[str], root: Path) -> None:
    """An image in two files is a leak, for the splits to refuse or drop; but it must be the same in both."""
    facts = table[["image_id", "patient_id", *labels]].drop_duplicates()
    differing = facts["image_id"][facts["image_id"].duplicated()].unique()
    if len(differing):
        raise ValueError(
            f"Expected the files in '{root}' to say the same of an image but they differ on {len(differing)}: "
            f"{first_five(differing)}. Correct the rows."
        )


def _read_columns(
    path: Path, labels: Sequence[str], *, image: str, patient: str, extra: dict[str, str | None] | None = None
) -> pd.DataFrame:
    """Columns ``image_id``, ``patient_id``, the extra ones (missing values where not given) and the labels."""
    if clash := sorted({*labels} & {*COLUMNS}):
        raise ValueError(
            f"Expected labels with names that the table does not use itself but got {clash}. Rename these columns of "
            f"'{path}'."
        )
    named = {name: column for name, column in (extra or {}).items() if column is not None}
    raw = read_table(path, [image, patient, *named.values(), *labels])
    # One patient is "00001" in one file and "1" in another.
    table = pd.DataFrame({"image_id": raw[image], "patient_id": raw[patient].str.replace(r"^0+(?=\d)", "", regex=True)})
    for name in ("split", "view_position", "sex"):
        table[name] = raw[named[name]].replace("", None) if name in named else None
    for name in ("view_position", "sex"):
        table[name] = table[name].astype("object").map(lambda text: text.upper() if isinstance(text, str) else None)
    table["age"] = raw[named["age"]].map(parse_age).astype("float64") if "age" in named else np.nan
    for label in labels:
        table[label] = parse_truth(raw[label], path)
    return table
