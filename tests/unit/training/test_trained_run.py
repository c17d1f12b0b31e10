"""A finished training that is read from its folder."""

import json
import os
from pathlib import Path

import pytest

from cxr_lightning.training.trained_run import TrainedRun
from tests.run_summaries import run_summary


def test_a_finished_run_is_read(tmp_path: Path) -> None:
    summary = run_summary(best_checkpoint="best.ckpt")
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    run = TrainedRun.read(tmp_path)
    assert run.summary == summary
    assert run.best_checkpoint == Path("best.ckpt")
    assert run.test_auroc == {"Mass": 0.75, "Edema": None}
    assert "test AUROC 0.750 over 1 findings" in repr(run)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no summary\.json"):
        TrainedRun.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"best_checkpoint": nu', b"\xff\xfe", b"[1, 2]", b"[" * 100_000, b"{}"])
def test_a_damaged_summary_is_one_line_with_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected ") as caught:
        TrainedRun.read(tmp_path)
    assert type(caught.value) is ValueError
    assert f"'{path}'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["picture", "none", "pipe", "endless"])
def test_a_curve_is_shown_where_there_is_one(kind: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(run_summary()))
    curve = tmp_path / "loss_curve.png"
    if kind == "picture":
        curve.write_bytes(b"\x89PNG")
    elif kind == "pipe":
        os.mkfifo(curve)
    elif kind == "endless":
        curve.touch()
        os.truncate(curve, 10 << 40)
    page = TrainedRun.read(tmp_path)._repr_html_()
    assert ("<img" in page) == (kind == "picture")
    assert "<strong>" in page
