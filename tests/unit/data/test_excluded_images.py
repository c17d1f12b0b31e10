"""The list of excluded images."""

from pathlib import Path

import pandas as pd

from cxr_lightning.data.excluded_images import write_excluded_images
from cxr_lightning.data.manifest import Manifest


def test_excluded_images_are_listed_with_the_reason_and_nothing_is_written_without_any(tmp_path: Path) -> None:
    manifest = Manifest(pd.DataFrame(), ("Mass",), "nih")
    write_excluded_images(manifest, tmp_path)
    assert not list(tmp_path.iterdir())
    write_excluded_images(Manifest(pd.DataFrame(), ("Mass",), "nih", skipped=("a.png",), leaked=("b.png",)), tmp_path)
    assert (tmp_path / "left_out.csv").read_text().splitlines() == [
        "image_id,reason",
        "a.png,not on disk",
        "b.png,patient in a later split",
    ]
