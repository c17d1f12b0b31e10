"""Checkpoints that are none, and probabilities that do not depend on the batches."""

from pathlib import Path

import pytest
import torch

from cxr_lightning.checkpoints.load import read_checkpoint


def test_a_foreign_checkpoint_is_refused_with_the_remedy(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"checkpoint of cxr_lightning in '.*x\.ckpt'.*model\.weights"):
        read_checkpoint(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04cos\nsystem\n."])
def test_a_damaged_checkpoint_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"'.*x\.ckpt' but it cannot be loaded safely"):
        read_checkpoint(str(tmp_path / "x.ckpt"))
