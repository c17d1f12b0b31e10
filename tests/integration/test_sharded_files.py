"""cxr predict and cxr prepare in several processes, started as torchrun and srun do: the files of one process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.cli.main import main
from tests.model_files import films, model_file

__all__ = ["films", "model_file"]

ROOT = Path(__file__).parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "cxr_lightning"]


def srun(rank: int, number: int) -> dict[str, str]:
    """Environment variables of a task of SLURM."""
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "predict", "SLURM_STEP_ID": "0"}
    return {**job, "SLURM_NTASKS": str(number), "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}


def start(*arguments: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_tasks(number: int, *arguments: str) -> list["subprocess.Popen[str]"]:
    return [start("-m", "cxr_lightning", *arguments, environment=srun(rank, number)) for rank in range(number)]


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a folder without those that name the working directory or are locks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Expected --out FOLDER with 2 processes"),
        (["--out", "out", "--json"], "Expected one process with --json or --csv but got 2"),
    ],
)
def test_several_processes_need_a_folder(
    options: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for rank in (0, 1):
        for name, value in srun(rank, 2).items():
            monkeypatch.setenv(name, value)
        assert main(["predict", "absent.png", "--model", "absent.ckpt", *options]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.launcher
@pytest.mark.slow
def test_torchrun_gives_the_results_and_heat_maps_of_one_process(
    model_file: Path, films: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    arguments = ["predict", *map(str, films[:9]), str(bad), "--model", str(model_file), "--gradcam", "--out"]
    assert main([*arguments, str(tmp_path / "one"), "--batch-size", "1"]) == 3
    process = start(*TORCHRUN, *arguments, str(tmp_path / "two"), "--batch-size", "1")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said  # torchrun's own, of a process that ends with 3
    assert said.count("9 ok, 0 warning, 1 rejected") == 1
    assert said.count("results: ") == 1
    one, two = tmp_path / "one", tmp_path / "two"
    assert sorted(path.name for path in two.iterdir()) == ["about.json", "heatmaps", "results.csv", "results.jsonl"]
    assert contents(one)["results.jsonl"] == contents(two)["results.jsonl"]
    assert contents(one)["results.csv"] == contents(two)["results.csv"]
    assert contents(one / "heatmaps").keys() == contents(two / "heatmaps").keys()


@pytest.mark.launcher
@pytest.mark.slow
def test_killed_tasks_of_slurm_are_resumed_by_three(model_file: Path, films: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(400):
        os.link(films[number % len(films)], folder / f"{number:04}.png")
    arguments = ["predict", str(folder), "--model", str(model_file), "--batch-size", "1", "--out"]
    assert main([*arguments, str(tmp_path / "one")]) == 0
    out = tmp_path / "several"
    processes = start_tasks(2, *arguments, str(out))
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in out.glob(".processes/part-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert list(out.glob(".processes/part-*"))
    for process in start_tasks(2, *arguments, str(out)):
        _, said = process.communicate(timeout=60)
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert process.returncode == 1
        assert "Add --resume" in line or line.startswith("error: process 1 ends since process 0 does")
    ended = []
    for process in start_tasks(3, *arguments, str(out), "--resume"):
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        ended.append(said)
    assert "files are done already" in ended[0]
    assert sum("results: " in said for said in ended) == 1
    for name in ("results.jsonl", "results.csv"):
        assert (out / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.launcher
@pytest.mark.slow
def test_torchrun_prepares_the_cache_of_one_process(make_nih: Callable[..., Path], tmp_path: Path) -> None:
    root = make_nih(tmp_path / "nih", patients=15, images_per_patient=3, test_patients=5)
    arguments = ["prepare", str(root), "--image-size", "24", "--workers", "1", "--cache-dir"]
    assert main([*arguments, str(tmp_path / "one")]) == 0
    process = start(*TORCHRUN, *arguments, str(tmp_path / "two"))
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert said.count("images of 24 px in ") == 1
    (one,), (two,) = (list((tmp_path / name / "images").iterdir()) for name in ("one", "two"))
    assert contents(one) == contents(two)
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
