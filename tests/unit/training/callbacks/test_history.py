"""The run's history file, and snapshots."""

import math
from pathlib import Path

import pytest
from pytorch_lightning.callbacks import RichProgressBar

from cxr_lightning.training.callbacks import ProgressBar, snapshots
from cxr_lightning.training.callbacks.history import write_history
from tests.conftest import history_of

ROW = {
    "epoch": 1,
    "train_loss": 0.1 + 0.2,  # 0.30000000000000004: the text must keep every digit
    "val_loss": 0.25,
    "val_auroc": math.nan,
    "learning_rate": 1e-4,
    "seconds": 12.5,
    "images_per_second": 80.0,
}


def test_history_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_history([ROW, {**ROW, "epoch": 2}], tmp_path / "history.csv")
    (first, second) = history_of(tmp_path)
    assert {**first, "val_auroc": 0.0} == {**ROW, "val_auroc": 0.0}
    assert math.isnan(first["val_auroc"])
    assert second["epoch"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_snapshots_are_off_by_default_and_want_a_positive_distance() -> None:
    assert snapshots("x") is None
    with pytest.raises(ValueError, match="at least 1 but got 0"):
        snapshots("x", 0)


def test_the_bar_reads_numbers_now_and_then_within_an_epoch_and_always_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings: list[int] = []

    def read(*_: object) -> dict[str, object]:
        readings.append(len(readings))
        return {"read": len(readings)}

    monkeypatch.setattr(RichProgressBar, "get_metrics", read)
    monkeypatch.setattr(RichProgressBar, "on_train_batch_end", lambda bar, *_: bar.get_metrics(None, None))
    bar = ProgressBar(seconds=1000)
    for _ in range(5):
        bar.on_train_batch_end(None, None, None, None, 0)
    assert len(readings) == 1
    assert bar.get_metrics(None, None) == {"read": 2}  # type: ignore[arg-type]  # an epoch's end
    always = ProgressBar(seconds=0)
    for _ in range(5):
        always.on_train_batch_end(None, None, None, None, 0)
    assert len(readings) == 7
