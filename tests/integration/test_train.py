"""train.py as a user types it, in this process: what a run leaves, resuming, callbacks, and bad input."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cxr_lightning import ChestXRayClassifier
from cxr_lightning.app.train import run_train
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.imaging.reader import read_gray, resize
from tests.conftest import SMALL, Run, history_of, newest, select_rows, start, summary_of


@pytest.fixture(scope="module")
def finished(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has finished its two epochs."""
    place = tmp_path_factory.mktemp("finished")
    assert start(run_train, place, *small, "logger=tensorboard") == 0
    return newest("logs/train/runs/*", place)


def test_a_run_leaves_what_the_readme_says(finished: Path) -> None:
    left = {str(path.relative_to(finished)) for path in finished.rglob("*")}
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "history.csv", "loss_curve.png", "summary.json"} <= left
    assert {".hydra/config.yaml", "train.log"} <= left
    assert any(name.startswith("tensorboard/events") for name in left)
    summary, history = summary_of(finished), history_of(finished)
    assert summary["train_loss"] == [row["train_loss"] for row in history]
    assert summary["val_loss"] == [row["val_loss"] for row in history]
    assert summary["monitor"] == {
        "name": "val/auroc",
        "mode": "max",
        "best": pytest.approx(max(r["val_auroc"] for r in history)),
    }
    assert summary["data"]["synthetic"] is False
    assert summary["data"]["subset"] is False
    assert summary["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert summary["seconds"] > 0
    assert summary["images_per_second"] > 0


def test_the_checkpoint_alone_repeats_the_test_scores(finished: Path) -> None:
    summary = summary_of(finished)
    model = ChestXRayClassifier.load_from_checkpoint(finished / "checkpoints/best.ckpt", weights_only=True).eval()
    root = Path(summary["data"]["settings"]["root"])
    with (root / "Data_Entry_2017_v2020.csv").open() as file:
        findings = {row["Image Index"]: row["Finding Labels"].split("|") for row in csv.DictReader(file)}
    names = (root / "test_list.txt").read_text().split()
    pixels = [resize(read_gray(root / "images" / name), model.hparams["image_size"]) for name in names]
    with torch.no_grad():
        probabilities = model(torch.from_numpy(np.stack(pixels))[:, None]).sigmoid().numpy()
    for column, label in enumerate(model.labels):
        truth = [label in findings[name] for name in names]
        expected = roc_auc_score(truth, probabilities[:, column]) if 0 < sum(truth) < len(truth) else None
        assert summary["test"]["auroc"][label] == (None if expected is None else pytest.approx(expected, abs=1e-6))


@pytest.mark.slow
def test_losses_are_the_same_with_and_without_prepared_images(run: Run, own_small: list[str], tmp_path: Path) -> None:
    settings = [*own_small, "data.num_workers=null", "data.augmentation.rotation=10"]
    runs = [summary_of(run(*settings, f"data.cache={cache}")[1]) for cache in ("true", "true", "false")]
    assert len(list(tmp_path.glob("cache/images/*/pixels.u8"))) == 1
    for key in ("train_loss", "val_loss", "val_auroc", "test", "data"):
        assert runs[0][key] == runs[1][key] == runs[2][key]


def test_broken_images_are_listed_in_the_run_folder_and_the_record(
    run: Run, make_nih: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_nih(tmp_path / "nih", patients=24)
    (root / "images" / "00000002_001.png").write_bytes(b"")
    code, folder = run(*SMALL, f"data.root={root}", "trainer.max_epochs=1", "data.on_bad_image=skip")
    assert code == 0
    assert (folder / "left_out.csv").read_text().splitlines()[1:] == ["00000002_001.png,the file is empty"]
    assert summary_of(folder)["data"]["rejected"] == 1
    assert summary_of(folder)["data"]["settings"]["on_bad_image"] == "skip"


@pytest.mark.slow
def test_a_fused_optimizer_clips_its_gradients(run: Run, small: list[str]) -> None:
    losses = []
    for fused in ("true", "false"):
        clipped = [f"optimizer.fused={fused}", "trainer.gradient_clip_val=0.001", "trainer.precision=bf16-mixed"]
        code, folder = run(*small, *clipped, "optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false")
        assert code == 0
        losses.append(summary_of(folder)["train_loss"])
    free = summary_of(run(*small, "optimizer=sgd", "trainer.precision=bf16-mixed")[1])["train_loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(free, rel=1e-4)


def test_one_seed_gives_the_same_losses_and_another_gives_others(run: Run, small: list[str]) -> None:
    first, second, other = (summary_of(run(*small, f"seed={seed}")[1])["train_loss"] for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_a_resumed_run_goes_on_in_its_folder_as_if_it_had_not_stopped(run: Run, small: list[str]) -> None:
    settings = [*small, "scheduler=none", "data.augmentation.rotation=10"]
    _, whole = run(*settings, "trainer.max_epochs=4")
    _, folder = run(*settings, "trainer.max_epochs=2")
    before = history_of(folder)
    code, resumed = run(*settings, "trainer.max_epochs=4", f"ckpt_path={folder}/checkpoints/last.ckpt")
    assert code == 0
    assert resumed == folder
    after = history_of(folder)
    assert [row["epoch"] for row in after] == [1, 2, 3, 4]
    assert after[:2] == before
    assert summary_of(folder)["train_loss"] == summary_of(whole)["train_loss"]
    assert summary_of(folder)["val_loss"] == summary_of(whole)["val_loss"]
    assert summary_of(folder)["test"] == summary_of(whole)["test"]
    assert summary_of(folder)["monitor"] == summary_of(whole)["monitor"]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("change", ["data.image_size=48", "data.labels=[Edema,Mass]", "data.seed=5", "model=resnet50"])
def test_a_run_is_not_resumed_with_other_settings(
    run: Run, small: list[str], finished: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(*small, change, "model.weights=null", f"ckpt_path={finished}/checkpoints/last.ckpt")
    assert code == 1
    error = capsys.readouterr().err
    assert "these differ" in error
    assert {"data.image_size=48": "image_size", "model=resnet50": "backbone"}.get(
        change, "labels" if "labels" in change else "data.seed (0 in that run, 5 now)"
    ) in error


def test_a_finished_run_is_not_resumed(
    run: Run, small: list[str], finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = summary_of(finished)
    code, _ = run(*small, f"ckpt_path={finished}/checkpoints/last.ckpt")
    assert code == 1
    assert "has finished 2 of 2. Raise `trainer.max_epochs`" in capsys.readouterr().err
    assert summary_of(finished) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["resume=auto", "ckpt_path"])
def test_a_complete_training_without_a_summary_is_tested(
    run: Run, small: list[str], finished: Path, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "stopped"))
    before = summary_of(folder)
    (folder / "summary.json").unlink()
    last = folder / "checkpoints/last.ckpt"
    on = [*small, f"ckpt_path={last}" if how == "ckpt_path" else how, f"hydra.run.dir={folder}"]
    for less in ("trainer.max_epochs=1", "+trainer.max_steps=5"):
        assert run(*on, less)[0] == 1
        error = capsys.readouterr().err
        assert {
            "epochs": "has finished 2 of 1. Raise `trainer.max_epochs`",
            "steps": "of 5. Raise `trainer.max_steps`",
        }[less.rpartition("_")[2].partition("=")[0]] in error
        assert f"train=false ckpt_path={last}" in error
        assert not (folder / "summary.json").exists()
    assert run(*on)[0] == 0
    after = summary_of(folder)
    assert {key: after[key] for key in ("train_loss", "test", "monitor")} == {
        key: before[key] for key in ("train_loss", "test", "monitor")
    }


FROZEN = ("model.freeze_backbone=true", "monitor.name=train/loss", "optimizer.lr=0.01")
"""A number that falls in every epoch, by less than the tests demand."""


STOPPING = ("trainer.max_epochs=9", "callbacks.early_stopping.patience=2", "+callbacks.early_stopping.min_delta=9")


def test_early_stopping_acts(run: Run, small: list[str]) -> None:
    code, folder = run(*small, *FROZEN, *STOPPING)
    assert code == 0
    assert [row["epoch"] for row in history_of(folder)] == [1, 2, 3]


def test_the_plateau_divides_the_rate(run: Run, small: list[str]) -> None:
    plateau = ["scheduler=plateau", "scheduler.patience=1", "scheduler.factor=0.5", "+scheduler.threshold=0.9"]
    _, folder = run(*small, *FROZEN, "trainer.max_epochs=4", *plateau)
    assert [row["learning_rate"] for row in history_of(folder)] == [0.01, 0.01, 0.01, 0.005]


def test_snapshots_are_kept_every_few_epochs(run: Run, small: list[str]) -> None:
    _, folder = run(*small, "trainer.max_epochs=5", "callbacks.snapshots.every_n_epochs=2")
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["best.ckpt", "epoch_002.ckpt", "epoch_004.ckpt", "last.ckpt"]


def test_a_subset_is_recorded_and_said(run: Run, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = run(*small, "data.subset=true", "data.subset_images=[8,4,6]")
    data = summary_of(folder)["data"]
    assert data["subset"] is True
    assert 8 <= data["splits"]["train"]["images"] < 20
    assert "subset" in capsys.readouterr().out


def test_validation_without_a_defined_label_still_ends_in_a_tested_checkpoint(run: Run, own_small: list[str]) -> None:
    root = Path(own_small[-1].removeprefix("data.root="))
    text = (root / "Data_Entry_2017_v2020.csv").read_text().splitlines()
    table = select_rows(NIHLayout().read(root), val_fraction=0.3).table
    validation = set(table["image_id"][table["split"] == "val"])
    kept = [
        line.replace(line.split(",")[1], "No Finding", 1) if line.split(",")[0] in validation else line for line in text
    ]
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(kept) + "\n")
    code, folder = run(*own_small)
    assert code == 0
    summary = summary_of(folder)
    assert summary["val_auroc"] == [None, None]
    assert summary["monitor"]["best"] is None
    assert summary["best_checkpoint"].endswith("last.ckpt")


@pytest.mark.parametrize("debug", ["fast", "profiler"])
def test_debug_settings_run(run: Run, small: list[str], debug: str) -> None:
    code, _ = run(*small, f"debug={debug}", "model=densenet_micro")
    assert code == 0


def test_overfitting_a_few_batches_drives_the_loss_down(run: Run, small: list[str]) -> None:
    code, folder = run(*small, "debug=overfit", "optimizer.lr=0.01", "trainer.max_epochs=30", "loss=bce")
    assert code == 0
    losses = summary_of(folder)["train_loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_images_left_out_are_recorded_with_the_reason(run: Run, own_small: list[str]) -> None:
    root = Path(own_small[-1].removeprefix("data.root="))
    (root / "images" / "00000001_000.png").unlink()
    code, folder = run(*own_small, "data.on_missing=skip", "trainer.max_epochs=1")
    assert code == 0
    assert summary_of(folder)["data"]["skipped"] == 1
    assert (folder / "left_out.csv").read_text().split() == ["image_id,reason", "00000001_000.png,not", "on", "disk"]
