"""Two processes on the CPU, started in every way: one run folder, and the numbers of one process."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.app.train import run_train
from cxr_lightning.data.dataloader import EpochSampler
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.utils.distributed import broadcast_from_rank_zero, is_rank_zero
from tests.conftest import SMALL, summary_of

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1")


@pytest.fixture
def settings(make_nih: Callable[..., Path], tmp_path: Path) -> list[str]:
    """15 test images, 12 for validation and 30 for training: not all divide by two."""
    root = make_nih(tmp_path / "nih", patients=19, images_per_patient=3, test_patients=5)
    folders = [f"paths.log_dir={tmp_path / 'logs'}", f"paths.cache_dir={tmp_path / 'cache'}"]
    return [*(text for text in SMALL if "trainer." not in text), f"data.root={root}", *folders]


def start(*command: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(settings: list[str], tmp_path: Path) -> None:
    finish(start(sys.executable, "train.py", *settings, *TWO))
    (folder,) = (tmp_path / "logs/train/runs").iterdir()
    both = summary_of(folder)["test"]
    best = folder / "checkpoints/best.ckpt"
    alone = [*settings, "trainer.accelerator=cpu", "train=false", f"ckpt_path={best}", f"hydra.run.dir={tmp_path}/one"]
    evaluation = [f"ckpt={best}", "accelerator=cpu", "gradcam.top=0", "replicates=10", "progress_bar=false"]
    evaluation += [text for text in settings if text.startswith("paths.")]
    finish(start(sys.executable, "train.py", *alone))
    one = summary_of(tmp_path / "one")["test"]
    assert both["auroc"].keys() == one["auroc"].keys()
    assert both["auroc"] == pytest.approx(one["auroc"], abs=1e-7)
    predictions = []
    for devices in (1, 2):
        out = tmp_path / f"devices_{devices}"
        finish(start(sys.executable, "evaluate.py", *evaluation, f"devices={devices}", f"hydra.run.dir={out}"))
        predictions.append(rows_of(out))
    assert [row["Image Index"] for row in predictions[0]] == [row["Image Index"] for row in predictions[1]]
    assert len(predictions[0]) == 15
    for first, second in zip(*predictions, strict=True):
        for name in first:
            if name.startswith("prob_"):  # empty of a finding that was not trained
                assert bool(first[name]) == bool(second[name])
                assert float(first[name] or 0) == pytest.approx(float(second[name] or 0), abs=1e-7)
        assert any(first[name] for name in first if name.startswith("prob_"))
    said = json.loads((tmp_path / "devices_2/metrics.json").read_text())["settings"]["predicted with"]
    assert said == "2 x cpu, float32"


def hyperparameters(folder: Path) -> list[list[float]]:
    """Learning rates at the epochs' ends, a list per job."""
    found = []
    for path in sorted(folder.glob("*/history.csv")):
        with path.open(newline="") as file:
            found.append([float(row["learning_rate"]) for row in csv.DictReader(file)])
    return found


@pytest.mark.slow
def test_a_sweep_of_two_processes_each_trains_what_it_says(settings: list[str], tmp_path: Path) -> None:
    sweep = ["-m", *settings, *TWO, "scheduler=none", "test=false", "optimizer.lr=0.001,0.002"]
    finish(start(sys.executable, "train.py", *sweep))  # processes with different settings would have stopped
    (folder,) = (tmp_path / "logs/train/multiruns").iterdir()
    assert hyperparameters(folder) == [[0.001], [0.002]]
    assert not (tmp_path / "logs/train/runs").exists()


@pytest.mark.slow
def test_a_run_of_two_processes_that_was_killed_is_resumed_by_both(settings: list[str], tmp_path: Path) -> None:
    command = [*settings, *TWO[:3], "trainer.max_epochs=40", "callbacks.last_checkpoint.every_steps=2", "resume=auto"]
    command.append("callbacks.early_stopping=null")
    process = start(sys.executable, "train.py", *command)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("logs/train/runs/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    finish(start(sys.executable, "train.py", *command))
    (folder,) = (tmp_path / "logs/train/runs").iterdir()
    assert len(summary_of(folder)["train_loss"]) == 40


@pytest.mark.launcher
@pytest.mark.slow
def test_a_job_of_two_processes_that_fails_does_not_end_the_sweep(settings: list[str], tmp_path: Path) -> None:
    sweep = ["-m", *settings, *TWO, "test=false", "optimizer.lr=1e30,0.001", "trainer.max_epochs=6"]
    process = start(sys.executable, "train.py", *sweep, "trainer.gradient_clip_val=null")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 1, output
    (folder,) = (tmp_path / "logs/train/multiruns").iterdir()
    assert "finite" in (folder / "0/error.txt").read_text()
    assert (folder / "1/summary.json").is_file()
    assert (folder / "leaderboard.csv").is_file()


@pytest.mark.launcher
@pytest.mark.slow
def test_the_process_that_fails_says_why_and_the_other_ends(settings: list[str], tmp_path: Path) -> None:
    module = ChestXRayDataModule(str(tmp_path / "nih"), NIHLayout(), val_fraction=0.3, image_size=32)
    module.setup()
    order = EpochSampler(len(module.rows("train")), seed=0, rank=1, world_size=2)
    path = Path(module.rows("train")["path"].iloc[list(order)[5]])
    content = bytearray(path.read_bytes())
    content[100:200] = bytes(100)
    path.write_bytes(content)
    process = start(sys.executable, "train.py", *settings, *TWO, "data.cache=false", "seed=0", "data.seed=0")
    output = process.communicate(timeout=120)[0]  # the other one's output has ended too
    assert process.returncode == 1
    assert f"Expected an image in '{path}' but it cannot be decoded" in output
    assert "Traceback" not in output


@pytest.mark.launcher
@pytest.mark.slow
def test_a_full_disk_under_the_first_process_ends_both(settings: list[str], tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -f 98; exec "$0" "$@"')  # 512 bytes each: less than a checkpoint
    process = start(*limited, sys.executable, "train.py", *settings, *TWO, "data.cache=false")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert "File too large. What was there is kept. Free disk space." in output
    assert "Traceback" not in output


@pytest.mark.launcher
@pytest.mark.slow
def test_torchrun_gives_one_folder(settings: list[str], tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    finish(start(*torchrun, "train.py", *settings, *TWO))
    (folder,) = (tmp_path / "logs/train/runs").iterdir()
    assert summary_of(folder)["test"] is not None


@pytest.mark.launcher
@pytest.mark.slow
def test_slurm_gives_one_folder(settings: list[str], tmp_path: Path) -> None:
    tasks = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "localhost", "SLURM_STEP_ID": "0"}
    processes = [
        start(sys.executable, "train.py", *settings, *TWO, **tasks, **job, SLURM_PROCID=rank, SLURM_LOCALID=rank)
        for rank in ("0", "1")
    ]
    for process in processes:
        finish(process)
    (folder,) = (tmp_path / "logs/train/runs").iterdir()
    assert summary_of(folder)["test"] is not None


@pytest.mark.launcher
@pytest.mark.slow
def test_a_signal_to_the_first_of_two_processes_ends_both(settings: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    endless = [*settings, *TWO[:3], "trainer.max_epochs=5000", f"hydra.run.dir={folder}"]
    process = start(sys.executable, "train.py", *endless)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints/last.ckpt").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]  # the other one's output has ended too
    assert process.returncode == 143
    assert "stopped by SIGTERM; go on with the same settings and either resume=auto" in output
    assert "Traceback" not in output


def test_the_first_process_is_known_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_rank_zero()
    assert broadcast_from_rank_zero("mine") == "mine"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_rank_zero()
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert is_rank_zero()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert not is_rank_zero()


def test_a_sweep_whose_processes_could_not_be_told_is_refused(
    settings: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hydra.core.global_hydra import GlobalHydra

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("cxr_lightning.app.resolvers.broadcast_from_rank_zero", lambda own: own)
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *settings, *TWO, "seed=1,2"])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        run_train()
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "run one after another" in errors[0]
