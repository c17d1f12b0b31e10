"""Checkpoints that are none, and the list of images left out."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from cxr_lightning.data.manifest import Manifest
from cxr_lightning.record import read_checkpoint, write_left_out


def test_a_foreign_checkpoint_is_refused_with_the_remedy(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"checkpoint of cxr_lightning in '.*x\.ckpt'.*model\.weights"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04cos\nsystem\n."])
def test_a_damaged_checkpoint_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"'.*x\.ckpt' but it cannot be loaded safely"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


def test_images_left_out_are_listed_with_the_reason_and_nothing_is_written_without_any(tmp_path: Path) -> None:
    manifest = Manifest(pd.DataFrame(), ("Mass",), "nih")
    write_left_out(manifest, tmp_path)
    assert not list(tmp_path.iterdir())
    write_left_out(Manifest(pd.DataFrame(), ("Mass",), "nih", skipped=("a.png",), leaked=("b.png",)), tmp_path)
    assert (tmp_path / "left_out.csv").read_text().splitlines() == [
        "image_id,reason",
        "a.png,not on disk",
        "b.png,patient in a later split",
    ]
