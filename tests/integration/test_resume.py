"""A run that died anywhere and is resumed ends bit for bit as one that was left alone."""

import zipfile
from pathlib import Path

import pytest

from benchmarks.kill_test import outcome
from cxr_lightning.app.train import run_train
from tests.conftest import SMALL, Die, Run, died, newest, start
from tests.own_backbones import TINY, own_package

__all__ = ["own_package"]

SETTINGS = (
    *SMALL,
    "trainer.max_epochs=3",
    "model.drop_rate=0.2",
    "data.augmentation.rotation=10",
    "callbacks.last_checkpoint.every_steps=1",
)


def lightning_callback(call: str) -> tuple[str]:
    """The setting that adds a callback of Lightning."""
    return (f"+callbacks.added={{_target_: pytorch_lightning.callbacks.{call}}}",)


def assert_same(first: Path, second: Path) -> None:
    """Weights, optimizer, schedule and counters; history; summary."""
    left, right = outcome(first), outcome(second)
    assert left.keys() == right.keys()
    assert {name: (value, right[name]) for name, value in left.items() if value != right[name]} == {}
    assert any(name.startswith("checkpoint/optimizer_states") for name in left)


ACCUMULATION = lightning_callback("GradientAccumulationScheduler, scheduling: {0: 1, 1: 2}")
FINETUNING = lightning_callback("BackboneFinetuning, unfreeze_backbone_at_epoch: 1, train_bn: false")
RATE_FINDER = lightning_callback("LearningRateFinder, num_training_steps: 15")
PLATEAU = ("scheduler=plateau", "scheduler.patience=0", "monitor.name=val/loss", "+scheduler.threshold=0.9")


@pytest.fixture(scope="module")
def whole(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    place = tmp_path_factory.mktemp("whole")
    assert start(run_train, place, *small, *SETTINGS[-4:]) == 0
    return newest("logs/train/runs/*", place)


@pytest.mark.usefixtures("own_package")
@pytest.mark.parametrize(
    ("workers", "epoch", "batch", "more"),
    [
        (0, 0, 2, ()),
        pytest.param(0, 1, 1, PLATEAU, marks=pytest.mark.slow),
        pytest.param(2, 1, 3, (), marks=pytest.mark.slow),
        pytest.param(2, 2, 1, ("trainer.accumulate_grad_batches=2",), marks=pytest.mark.slow),
        pytest.param(0, 1, 2, (f"model.backbone={TINY}", "+model.variations.width=6"), marks=pytest.mark.slow),
        pytest.param(0, 1, 2, lightning_callback("EMAWeightAveraging, decay: 0.5"), marks=pytest.mark.slow),
        pytest.param(0, 1, 2, ACCUMULATION, marks=pytest.mark.slow),
        pytest.param(0, 2, 1, FINETUNING, marks=pytest.mark.slow),
        pytest.param(0, 1, 1, (*RATE_FINDER, "trainer.max_epochs=5"), marks=pytest.mark.slow),
    ],
)
def test_a_run_that_died_in_an_epoch_is_resumed_exactly(
    run: Run,
    small: list[str],
    whole: Path,
    die: Die,
    workers: int,
    epoch: int,
    batch: int,
    more: tuple[str, ...],
) -> None:
    settings = [*small, *SETTINGS[-4:], f"data.num_workers={workers}", *more]
    alone = run(*settings)[1] if more else whole
    die(epoch, batch)
    died(run, *settings)
    code, resumed = run(*settings, "resume=auto")
    assert code == 0
    assert resumed != alone
    assert_same(alone, resumed)


@pytest.mark.slow
def test_a_run_that_died_between_epochs_is_resumed_exactly(run: Run, small: list[str], die: Die) -> None:
    settings = [*small, *SETTINGS[-4:], "callbacks.last_checkpoint.every_steps=null", "scheduler=plateau"]
    settings += ["scheduler.patience=0", "scheduler.factor=0.5", "monitor.name=train/loss", "+scheduler.threshold=0.9"]
    _, whole = run(*settings)
    assert (whole / "history.csv").read_text().count("0.0001") < 3  # the plateau acted
    die(2, 0)
    died(run, *settings)
    code, resumed = run(*settings, "resume=auto")
    assert (code, resumed != whole) == (0, True)
    assert_same(whole, resumed)


@pytest.mark.parametrize(
    "spoil", ["cut", *(pytest.param(spoil, marks=pytest.mark.slow) for spoil in ("flip", "missing"))]
)
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    run: Run, small: list[str], whole: Path, die: Die, tmp_path: Path, spoil: str
) -> None:
    settings = [*small, *SETTINGS[-4:]]
    die(1, 3)
    died(run, *settings)
    (folder,) = (path.parents[1] for path in tmp_path.rglob("previous.ckpt"))
    last = folder / "checkpoints/last.ckpt"
    content = bytearray(last.read_bytes())
    if spoil == "cut":
        last.write_bytes(content[: len(content) // 2])
    elif spoil == "flip":
        largest = max(zipfile.ZipFile(last).infolist(), key=lambda member: member.file_size)  # padding is no data
        content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
        last.write_bytes(content)
    else:
        last.unlink()
    code, resumed = run(*settings, f"ckpt_path={last}")
    assert (code, resumed) == (0, folder)
    assert f"resuming from '{last.with_name('previous.ckpt')}'" in (folder / "train.log").read_text()
    assert_same(whole, folder)


@pytest.mark.slow
def test_resume_finds_the_newest_unfinished_run_of_the_same_configuration(
    run: Run, small: list[str], die: Die, tmp_path: Path
) -> None:
    settings = [*small, "trainer.max_epochs=1", "callbacks.last_checkpoint.every_steps=1"]
    folders, runs = [], tmp_path / "logs/train/runs"
    for seed in (1, 2, 1):
        die(0, 2)
        died(run, *settings, f"seed={seed}")
        folders.append(max(runs.iterdir()))
    _, finished = run(*settings, "seed=1")
    assert run(*settings, "seed=1", "resume=auto") == (0, folders[2])
    assert run(*settings, "seed=1", "resume=auto") == (0, folders[0])
    _, new = run(*settings, "seed=1", "resume=auto")
    assert new not in (*folders, finished)
    assert run(*settings, "seed=2", "resume=auto") == (0, folders[1])
