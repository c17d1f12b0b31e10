"""All images of a data set, prepared at once."""

from pathlib import Path

import pytest

from cxr_lightning.data.cache import CacheSpec
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.prepare import prepare_listed_images


def test_images_that_are_listed_but_not_on_disk_are_counted(nih_folder: Path, tmp_path: Path) -> None:
    images = sorted((nih_folder / "images").iterdir())
    images[0].unlink()
    prepared, missing = prepare_listed_images(NIHLayout(), CacheSpec(nih_folder, 16), tmp_path, workers=1)
    assert missing == 1
    assert prepared is not None
    assert set(prepared.rows) == {f"images/{path.name}" for path in images[1:]}


def test_a_data_set_without_any_image_is_refused(nih_folder: Path, tmp_path: Path) -> None:
    for path in (nih_folder / "images").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"listed images below .* but none is there"):
        prepare_listed_images(NIHLayout(), CacheSpec(nih_folder, 16), tmp_path)
