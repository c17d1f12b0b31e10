"""Every layout by its name, as the command line and a checkpoint's record name it."""

from pathlib import Path
from typing import Any

import pandas as pd

from cxr_lightning.data.csv_reader import read_table
from cxr_lightning.data.datasets.base import DatasetLayout, check_data_root
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.data.datasets.walkthrough import WalkthroughLayout

LAYOUTS: dict[str, type[DatasetLayout]] = {
    layout.name: layout for layout in (NIHLayout, WalkthroughLayout, CsvLayout, PhantomLayout)
}
"""Every layout by name."""


def build_layout(name: str, **options: Any) -> DatasetLayout:  # noqa: ANN401  # each layout's own
    """Build a layout from a checkpoint's record of it.

    Args:
        name: One of ``LAYOUTS``.
        options: Its constructor's arguments.

    Raises:
        ValueError: If the name or an option is unknown, as in a record of a later version.
    """
    try:
        return LAYOUTS[name](**options)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"Expected a data source among {list(LAYOUTS)} with its options but got {name!r} with {options}. "
            "Choose the data yourself: data=nih, walkthrough, csv or phantom."
        ) from error


def listed_image_paths(layout: DatasetLayout, root: Path) -> pd.Series:
    """Paths of all images that a data set lists, missing where one is not on disk; needs no labels."""
    if not isinstance(layout, CsvLayout):
        return layout.read(root).table["path"]
    path = check_data_root(root) / layout.file
    return layout.image_paths(root, read_table(path, [layout.image_column])[layout.image_column])
